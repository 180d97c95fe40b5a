"""`fuse_maps` is the formula by which the maps of several layers become one.

It is written in `Algebra`: `explain.fuse_layers` evaluates it, and the exporter writes it as nodes.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import reduce
from operator import add, mul
from typing import Literal, TypeAlias

from .operations import ROUNDING, Algebra, T

Fuse: TypeAlias = Literal["mean", "max", "product", "refine"]
FUSES: tuple[Fuse, ...] = ("mean", "max", "product", "refine")
"""How the maps of several layers become one; see `fuse_maps`."""
FUSED_METHOD = "layercam"
"""The method of the maps that a graph fuses: of the formulas that keep places apart, as finer
layers need, the one that is not empty behind a norm over channels either."""


def fuse_maps(
    ops: Algebra[T],
    maps: Sequence[T],
    resizes: Sequence[Callable[[T], T]],
    how: Fuse,
    axes: Sequence[int],
    *,
    signed: bool = False,
) -> T:
    """Fuse the maps of several layers.

    Each map is divided by its own maximum, since layers differ in scale, and resized to the finest
    grid. A map of zeros counts as zeros. Signed maps are divided by their largest magnitude, and
    fused separately for positive and negative values: the result is the difference.

    Args:
        ops: The operations.
        maps: [N, K, *cells] of each layer; the cells may differ.
        resizes: Resize a map of each layer to the finest grid.
        how: ``mean``: where layers see evidence on average; ``max``: where any layer does;
            ``product``: where all layers do; ``refine``: where all layers see more evidence than
            where they see least, the product of maps that are stretched from 0 to 1 on the finest
            grid (RefineCAM, Domeniconi et al. 2026, 2605.14641).
        axes: The axes of space.
        signed: Whether negative values are evidence; else they count as 0. Of signed maps
            ``refine`` is ``product``: what they are measured from is 0.

    Returns:
        [N, K, *cells] on the finest grid.
    """
    layers = [
        resize(_relative(ops, one, axes, signed)) for one, resize in zip(maps, resizes, strict=True)
    ]
    if not signed:
        if how == "refine":
            layers = [_stretched(ops, one, axes) for one in layers]
        return _joined(ops, layers, how)
    positive = _joined(ops, [ops.relu(one) for one in layers], how)
    return positive - _joined(ops, [ops.relu(-one) for one in layers], how)


def _joined(ops: Algebra[T], layers: Sequence[T], how: Fuse) -> T:
    if how == "mean":
        return reduce(add, layers) * (1 / len(layers))
    return reduce(ops.larger if how == "max" else mul, layers)


def _relative(ops: Algebra[T], maps: T, axes: Sequence[int], signed: bool) -> T:
    """Each map divided by its own largest value, signed ones by their largest magnitude."""
    values = maps if signed else ops.relu(maps)
    size = ops.larger(maps, -maps) if signed else values
    return ops.quotient(values, _largest(ops, size, axes))


def _stretched(ops: Algebra[T], maps: T, axes: Sequence[int]) -> T:
    """Maps from 0 to 1, less their smallest value; the largest becomes 1 again.

    A map that is the same everywhere but for rounding stays as it is: it tells no place from
    another, and refines nothing.
    """
    lowest = -_largest(ops, -maps, axes)
    spread = _largest(ops, maps, axes) - lowest
    varies = ops.above(spread, ROUNDING)
    return ops.quotient(maps - varies * lowest, varies * spread - varies + 1.0)


def _largest(ops: Algebra[T], maps: T, axes: Sequence[int]) -> T:
    return reduce(lambda x, axis: ops.peak(x, axis, keep=True), axes, maps)
