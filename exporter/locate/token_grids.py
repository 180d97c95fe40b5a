"""`token_grids` finds the grids that a number of tokens may stand on."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

from ..graph.emitter import Dim

_MAX_PREFIX = 16  # class, distillation and register tokens; no known model has more
_FEW_PREFIX = 2  # where the grid itself is a guess


def token_grids(
    tokens: Dim, grids: Sequence[tuple[Dim, ...]], image: tuple[Dim, ...] = ()
) -> list[tuple[tuple[int, ...], int]]:
    """The grids that tokens may stand on, each with the number of tokens before it; best first.

    They are grids of earlier layers that leave at most 16 tokens over, the largest first. Else
    these thinned out (LeViT takes every second token), or grids of square patches of the image (TNT
    cuts them without a convolution).

    Args:
        tokens: Their number.
        grids: Spatial extents of convolutions.
        image: Spatial extents of the model's input.
    """
    if not isinstance(tokens, int):
        return []
    known = {grid for grid in static_grids(grids) if len(grid) > 1}
    patches = {
        tuple(side // patch for side in sides)
        for sides in static_grids([image])
        if len(sides) == 2
        for patch in range(2, min(sides) + 1)
        if not any(side % patch for side in sides)
    }
    exact = _fits(tokens, known, _MAX_PREFIX)
    # Both, for where no convolution is, what is known may be attention of heads, tokens by width.
    others = _fits(tokens, halved(known), _FEW_PREFIX) + _fits(tokens, patches, _MAX_PREFIX)
    return exact or list(dict.fromkeys(others))


def _fits(
    tokens: int, grids: Iterable[tuple[int, ...]], most: int
) -> list[tuple[tuple[int, ...], int]]:
    """The grids that leave at most so many tokens over, with their number; the largest first."""
    over = [(tokens - math.prod(grid), grid) for grid in grids if 1 < math.prod(grid) <= tokens]
    # No more before the grid than on it: else EfficientViM's 25 states would be 3 x 3 places.
    return [(grid, prefix) for prefix, grid in sorted(over) if prefix <= min(most, math.prod(grid))]


def static_grids(grids: Iterable[tuple[Dim, ...]]) -> set[tuple[int, ...]]:
    """Those of the grids whose sides are all known."""
    sides = [(grid, tuple(side for side in grid if isinstance(side, int))) for grid in grids]
    return {known for grid, known in sides if known and len(known) == len(grid)}


def halved(grids: Iterable[tuple[int, ...]]) -> set[tuple[int, ...]]:
    """The grids, and those that halving them again and again gives, rounded up or down."""
    found = set(grids)
    fresh = found
    while fresh:
        coarser = {tuple(side // 2 for side in grid) for grid in fresh}
        coarser |= {tuple(-(-side // 2) for side in grid) for grid in fresh}
        fresh = {grid for grid in coarser if min(grid) > 0} - found
        found |= fresh
    return found
