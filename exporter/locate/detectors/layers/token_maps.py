"""`token_maps` finds the maps whose places a detector with queries looks at."""

from __future__ import annotations

import onnx_ir as ir

from ..detection import Detection
from .image_maps import ImageMaps

_MOVES = frozenset({"Reshape", "Transpose", "Flatten", "Squeeze", "Unsqueeze", "Identity", "Cast"})


def token_maps(maps: ImageMaps, detection: Detection) -> list[ir.Value]:
    """The maps of several levels that the last Concat of tokens joins; empty if there is none."""
    leaves = [leaf for leaf in detection.leaves if leaf in maps.order]
    for value in maps.ancestors(leaves):
        node = value.producer()
        if node is None or node.op_type != "Concat" or len(maps.shape(value)) != 3:
            continue
        axis, found = node.attributes["axis"].as_int(), list[ir.Value]()
        for before in node.inputs:
            origin = None if before is None else _unmoved(maps, before)
            if before is None or origin is None:
                break
            rows, columns = maps.grid(origin)
            if maps.shape(before)[axis] != rows * columns:
                break
            found.append(origin)
        if len(set(found)) == len(node.inputs) > 1:
            return found
    return []


def _unmoved(maps: ImageMaps, value: ir.Value) -> ir.Value | None:
    """The map that tokens are merely moved from."""
    while value not in maps:
        node = value.producer()
        if node is None or node.op_type not in _MOVES or node.inputs[0] is None:
            return None
        value = node.inputs[0]
    return value
