"""This module finds a detector's target layers by structure: the inputs of its heads, by level."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.emitter import dims_of
from ...graph.queries import ancestors
from .detection import Corners, Detection, Distances, LevelFound

_MOVES = frozenset(
    {"Reshape", "Transpose", "Split", "Slice", "Identity", "Cast", "Squeeze", "Unsqueeze"}
)


def head_inputs(graph: ir.Graph, detection: Detection) -> list[LevelFound]:
    """The inputs of each level's head: the last map that its class and its box branch share."""
    boxes = detection.boxes
    assert isinstance(boxes, (Corners, Distances))
    of_boxes = set[ir.Value]().union(*(ancestors(one.value) for one in boxes.entries))
    order = {value: place for place, node in enumerate(graph) for value in node.outputs}
    found, first = list[LevelFound](), 0
    for branch, count in _branches(detection):
        shared = [
            value for value in ancestors(branch) & of_boxes
            if value in order and value.shape is not None and len(value.shape) == 4
        ]  # fmt: skip
        last = max(shared, key=order.__getitem__)
        found.append(LevelFound(last, first, count))
        first += count or 0
    return found


def _branches(detection: Detection) -> list[tuple[ir.Value, int]]:
    value, axis = detection.scores[0].value, detection.scores[0].box_axis
    while (node := value.producer()) is not None and node.op_type in _MOVES and node.inputs[0]:
        value = node.inputs[0]
    assert node is not None
    assert node.op_type == "Concat"
    return [(one, dims_of(one)[axis]) for one in node.inputs if one is not None]  # type: ignore
