"""`backbone_layers` finds the backbone's last map of each level's grid."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from ..detection import LevelFound
from .image_maps import Grid, ImageMaps

_ENLARGES = frozenset({"Resize", "Upsample", "ConvTranspose", "DepthToSpace"})


def backbone_layers(maps: ImageMaps, levels: Sequence[LevelFound]) -> list[LevelFound]:
    """The last map on each level's grid that feeds the heads and that no upsampling precedes.

    Levels without such a map are left out. A single fine level that is enlarged from coarser maps,
    as centres are found on, sees an object there: then the coarser grids count as well.

    Args:
        maps: Of the graph.
        levels: The inputs of the heads, from `head_inputs`.
    """
    before = list(maps.ancestors([level.value for level in levels]))
    enlarged = set[ir.Value]()
    for value in reversed(before):
        node = value.producer()
        if node is not None and (
            (node.op_type in _ENLARGES and _is_larger(maps, value))
            or not enlarged.isdisjoint(maps.feeding(value))
        ):
            enlarged.add(value)
    found = dict[ir.Value, LevelFound]()
    for level in levels:
        grid = maps.grid(level.value)
        own = [
            one for one in before if one in maps and maps.grid(one) == grid and one not in enlarged
        ]
        # Behind the backbone's last block, a pointwise convolution may serve the next level alone.
        near = _on_grid(maps, level.value)
        last = next((one for one in own if one in near), own[0] if own else None)
        if last is not None and last not in found:
            found[last] = replace(level, value=last)
    if len(levels) == 1 and levels[0].value in enlarged:
        own = [one for one in before if one not in enlarged]
        for value in _coarser(maps, own, levels[0].value):
            found[value] = LevelFound(value, stride=maps.stride(value))
    return list(found.values())


def _coarser(maps: ImageMaps, values: Sequence[ir.Value], level: ir.Value) -> Sequence[ir.Value]:
    """The last map on each grid between a level's and that of pooled values, the finest first."""
    last = dict[Grid, ir.Value]()
    for value in values:
        if value in maps and (1, 1) < maps.grid(value) < maps.grid(level):
            last.setdefault(maps.grid(value), value)
    return [last[grid] for grid in sorted(last, reverse=True)]


def _on_grid(maps: ImageMaps, value: ir.Value) -> set[ir.Value]:
    """A map and what it is computed from, as far back as no map has another grid."""
    seen, stack = {value}, [value]
    while stack:
        for before in maps.feeding(stack.pop()):
            same = before not in maps or maps.grid(before) == maps.grid(value)
            if same and before not in seen:
                seen.add(before)
                stack.append(before)
    return seen


def _is_larger(maps: ImageMaps, value: ir.Value) -> bool:
    """Whether a node enlarges a map; some Resize nodes make it smaller."""
    grid = maps.shape(value)[2:]
    return any(maps.shape(one)[2:] < grid for one in maps.feeding(value))
