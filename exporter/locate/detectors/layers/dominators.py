"""`Dominators` finds the last value that all ways from the image to given values pass."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from .image_maps import ImageMaps


class Dominators:
    """The tree of dominators of the values before given ones; its root is the image.

    In a graph without circles a value's nearest dominator is the lowest common one of its inputs.
    """

    def __init__(self, maps: ImageMaps, values: Sequence[ir.Value]) -> None:
        self._above: dict[ir.Value, ir.Value | None] = {}
        self._depth: dict[ir.Value, int] = {}
        for value in reversed(list(maps.ancestors(values))):
            above = self.common(maps.feeding(value))
            self._above[value] = above
            self._depth[value] = 0 if above is None else self._depth[above] + 1

    def common(self, values: Sequence[ir.Value]) -> ir.Value | None:
        """The lowest common dominator of values, which may be one of them; None of no values."""
        lowest: ir.Value | None = None
        for value in values:
            lowest = value if lowest is None else self._meet(lowest, value)
        return lowest

    def above(self, value: ir.Value) -> ir.Value | None:
        """The nearest dominator of a value; None above the image."""
        return self._above[value]

    def _meet(self, one: ir.Value, other: ir.Value) -> ir.Value:
        while one is not other:
            if self._depth[one] < self._depth[other]:
                one, other = other, one
            higher = self._above[one]
            assert higher is not None, "the image is above all"
            one = higher
        return one
