"""Dense heads: one output [N, 4 + classes, boxes] or [N, boxes, 4 + classes] of all anchors."""

from __future__ import annotations

import onnx_ir as ir

from ....runtime.detector import BoxEntries
from ...graph.emitter import dims_of
from .detection import Corners, Detection, Entries
from .file_facts import FileFacts


def dense(graph: ir.Graph, facts: FileFacts) -> Detection | None:
    """Recognise a Concat of boxes and class probabilities."""
    for output in graph.outputs:
        joined = output.producer()
        if joined is None or joined.op_type != "Concat" or len(dims_of(output)) != 3:
            continue
        axis = joined.attributes["axis"].as_int() % 3
        if axis == 0 or len(joined.inputs) < 2:
            continue
        boxes, probable = joined.inputs[0], joined.inputs[1]
        ending = None if probable is None else probable.producer()
        if boxes is None or probable is None or dims_of(boxes)[axis] != 4:
            continue
        if ending is None or ending.op_type != "Sigmoid" or ending.inputs[0] is None:
            continue
        classes = dims_of(probable)[axis]
        assert isinstance(classes, int)
        logits, name = ending.inputs[0], output.name or ""
        return Detection(
            "dense",
            [Entries(logits, 3 - axis, 0, classes)],
            Corners([Entries(boxes, 3 - axis, 0, 4)], "cxcywh", "pixels"),
            box_entries=[BoxEntries(name, 3 - axis, 0, 4)],
            score_entries=[BoxEntries(name, 3 - axis, 4, classes)],
            activated=True,
            names=facts.names,
            size=facts.size,
            evidence=[f"{name} joins 4 numbers of each box and {classes} probabilities"],
        )
    return None
