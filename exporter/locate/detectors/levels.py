"""This module finds a detector's target layers by structure: the inputs of its heads, by level."""

from __future__ import annotations

import onnx_ir as ir

from ...errors import LayerError
from ...graph.emitter import dims_of
from ...graph.queries import ancestors
from .detection import Corners, Detection, Distances, LevelFound


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
        first += count
    return found


def _branches(detection: Detection) -> list[tuple[ir.Value, int]]:
    axis = detection.scores[0].box_axis
    queue, seen = [detection.scores[0].value], set[ir.Value]()
    while queue:
        value = queue.pop(0)
        node = value.producer()
        if value in seen or node is None:
            continue
        seen.add(value)
        if node.op_type == "Concat" and len(value.shape or ()) == 3:
            along = node.attributes["axis"].as_int() % 3
            if along == axis:
                return [(one, dims_of(one)[axis]) for one in node.inputs if one]  # type: ignore
        queue += [one for one in node.inputs if one is not None]
    raise LayerError("the levels of this detector were not found; name its layers with `layers`")
