"""This module finds a detector's target layers by structure: the inputs of its heads, by level."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..detection import Centres, Detection, LevelFound
from .dominators import Dominators
from .image_maps import ImageMaps
from .level_parts import LevelPart, level_parts
from .token_maps import token_maps

_PREDICTS = frozenset(
    {"Conv", "ConvTranspose", "MatMul", "Gemm", "QLinearConv", "QLinearMatMul", "ConvInteger"}
    | {"MatMulInteger", "DeformConv", "FusedConv", "NhwcConv"}
)

_TABLES = frozenset({"MatMul", "Einsum", "Attention", "MultiHeadAttention"})  # of places by places


def head_inputs(maps: ImageMaps, detection: Detection) -> list[LevelFound]:
    """The input of each level's head: the lowest common dominator of its class and its box branch.

    See `_input_of` for the one exception.

    Queries and the slots of a selection among them belong to no level: the maps whose tokens they
    look at take the place of the heads' inputs.

    Returns:
        Levels, the finest first; none where neither is found.
    """
    found = [] if detection.format == "queries" else _of_branches(maps, detection)
    if not found:
        found = [LevelFound(one, stride=maps.stride(one)) for one in token_maps(maps, detection)]
    return sorted(found, key=lambda one: maps.grid(one.value), reverse=True)


def _of_branches(maps: ImageMaps, detection: Detection) -> list[LevelFound]:
    branches = _branches(maps, detection)
    ends = [list(dict.fromkeys(_prediction(maps, one) for one in part.maps)) for part in branches]
    tree = Dominators(maps, [value for level in ends for value in level])
    found, first = dict[ir.Value, LevelFound](), 0
    for level, part in zip(ends, branches, strict=True):
        shared = _input_of(maps, tree, level)
        if shared is None:
            return []
        places = (first, part.count) if maps.fixed else (None, None)
        if shared in found:  # boxes of several sizes at the same places, not side by side
            places = (None, None)
        found[shared] = LevelFound(shared, *places, maps.stride(shared))
        first += part.count
    return list(found.values())


def _input_of(maps: ImageMaps, tree: Dominators, ends: Sequence[ir.Value]) -> ir.Value | None:
    """The lowest common dominator of a level's predictions that is a map; None if there is none.

    Where one pointwise convolution predicts all (YOLOv5, PicoDet), a gradient at its input is zero
    but at the box's own place, and says nothing. Then it is the last map with a wider view.
    """
    shared = tree.common(ends)
    if shared is not None and shared in ends:  # one node predicts all: what it reads is shared
        shared = tree.above(shared)
    narrow: ir.Value | None = None
    while shared is not None and shared is not maps.image:
        if shared in maps:
            if narrow is not None and maps.grid(shared) != maps.grid(narrow):
                break
            if _looks_around(maps, shared, ends):
                return shared
            narrow = narrow or shared
        shared = tree.above(shared)
    return narrow


def _looks_around(maps: ImageMaps, start: ir.Value, ends: Sequence[ir.Value]) -> bool:
    """Whether predictions depend on more than their own place of a map."""
    seen, stack = {start, *ends}, [end for end in ends if end is not start]
    while stack:
        value = stack.pop()
        node, before = value.producer(), maps.feeding(value)
        if node is not None and (_window(node) > 1 or (node.op_type in _TABLES and before[1:])):
            return True
        fresh = [one for one in before if one not in seen]
        seen.update(fresh)
        stack += fresh
    return False


def _window(node: ir.Node) -> int:
    """Places that a node looks at for one of its own, along the longer side."""
    if "kernel_shape" in node.attributes:
        return max(node.attributes["kernel_shape"].as_ints())
    weights = node.inputs[1].shape if len(node.inputs) > 1 and node.inputs[1] else None
    if node.op_type in _PREDICTS and weights is not None and len(weights) == 4:
        return max((side for side in list(weights)[2:] if isinstance(side, int)), default=1)
    return 1


def _branches(maps: ImageMaps, detection: Detection) -> list[LevelPart]:
    """The last maps of each level's classes, boxes and objectness."""
    levels, others = level_parts(maps, detection.scores), list[list[ir.Value]]()
    boxes = detection.boxes
    if isinstance(boxes, Centres):
        values = [boxes.sizes, *([boxes.offsets] if boxes.offsets else [])]
        others.append(values)
    for tables in ([] if isinstance(boxes, Centres) else boxes.entries, detection.objectness):
        parts = level_parts(maps, tables)
        if len(parts) == len(levels):
            for level, part in zip(levels, parts, strict=True):
                level.maps.extend(part.maps)
        else:
            others.append([map_ for table in tables for map_ in maps.behind(table.value)[0]])
    for level in levels:
        grid = maps.grid(level.maps[0])
        level.maps.extend(one for more in others for one in more if maps.grid(one) == grid)
    return levels


def _prediction(maps: ImageMaps, value: ir.Value) -> ir.Value:
    """What a map of predictions is merely cut from, moved or activated: a node with weights."""
    while (node := value.producer()) is not None and node.op_type not in _PREDICTS:
        before = maps.feeding(value)
        if len(before) != 1 or before[0] not in maps:
            break
        value = before[0]
    return value


def named_levels(
    maps: ImageMaps, levels: Sequence[LevelFound], values: Sequence[ir.Value]
) -> list[LevelFound]:
    """What is known of layers that the user named: strides, and boxes of heads' inputs."""
    known = {one.value: one for one in levels}
    return [
        known.get(one) or LevelFound(one, stride=maps.stride(one) if one in maps else None)
        for one in values
    ]
