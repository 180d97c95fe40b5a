"""An `Arrangement` says where the channels and the places of a layer's output are."""

from __future__ import annotations

from dataclasses import dataclass

from ...runtime.spec import Layout
from ..graph.emitter import Dim


@dataclass(frozen=True)
class Arrangement:
    """The layout of a layer's output.

    Attributes:
        layout: Place of the channels; ``tokens`` is [N, prefix + h * w + suffix, C].
        grid: Spatial extents.
        prefix: Tokens before the grid.
        suffix: Tokens behind the grid, such as those that a detector reads its boxes off.
        input_axes: The input's axes that the grid runs along, where they are in another order.
    """

    layout: Layout
    grid: tuple[Dim, ...]
    prefix: int = 0
    input_axes: tuple[int, ...] = ()
    suffix: int = 0
