"""This module makes the tables of a detector: class scores and edges of all its boxes, as nodes.

The nodes read the model's values only, and are differentiated with it.
"""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from ...runtime.spec.detector import EDGES
from ..graph.emitter import Dim, Emitter, dims_of
from ..graph.precision import SINGLE
from ..locate.detectors.detection import Detection
from ..locate.detectors.tables.take_entries import cut
from .box_edges import edges_of
from .box_rows import joined, replaced, turned


@dataclass(frozen=True)
class BoxTables:
    """Scores and edges of all boxes.

    Attributes:
        scores: [N, boxes, classes], or [N, classes, boxes] where ``box_axis`` is 2.
        edges: [N, boxes, 4]: left, top, right and bottom in pixels of the model's input.
        box_axis: The axis of the boxes in ``scores``.
        flat: [N, (classes + 4) * boxes]: both, in the order of ``scores``; what is differentiated.
    """

    scores: ir.Value
    edges: ir.Value
    box_axis: int
    flat: ir.Value


def box_tables(emit: Emitter, detection: Detection, image: ir.Value) -> BoxTables:
    """Lay out what a detector predicts.

    Args:
        emit: Where nodes are added.
        detection: What was recognised.
        image: The model's input, [N, channels, height, width].
    """
    with emit.scope("boxes"):
        axis = detection.scores[0].box_axis
        scores = joined(emit, detection.scores, axis)
        if detection.no_object:
            scores = cut(emit, scores, 3 - axis, 0, detection.classes)
        if detection.objectness:
            there = _log_sigmoid(emit, joined(emit, detection.objectness, axis))
            log = _log_sigmoid(emit, scores)
            scores = emit.op("Add", log, there, role="scores", shape=dims_of(scores))
        edges = edges_of(emit, detection, image)
        across = edges if axis == 1 else turned(emit, edges)
        single = emit.cast(scores, SINGLE, "scores")
        both = emit.op(
            "Concat", single, emit.cast(across, SINGLE, "edges"), role="both", axis=3 - axis,
            shape=replaced(dims_of(scores), 3 - axis, detection.classes + EDGES),
        )  # fmt: skip
        places: Dim = dims_of(scores)[axis]
        extent = places * (detection.classes + EDGES) if isinstance(places, int) else "entries"
        flat = emit.op(
            "Reshape", both, [(both, 0), -1], role="table", shape=[dims_of(both)[0], extent]
        )
    return BoxTables(single, edges, axis, flat)


def probabilities(emit: Emitter, detection: Detection, tables: BoxTables) -> ir.Value:
    """The probability of each class of each box, float32 [N, boxes, classes]."""
    with emit.scope("boxes"):
        axis = tables.box_axis
        if detection.activation == "softmax":
            logits = emit.cast(joined(emit, detection.scores, axis), SINGLE, "scores")
            all_classes = emit.op(
                "Softmax", logits, role="probabilities", axis=3 - axis, shape=dims_of(logits)
            )
            found = cut(emit, all_classes, 3 - axis, 0, detection.classes)
        else:
            # With an objectness the scores are logarithms of probabilities.
            operator = "Exp" if detection.objectness else "Sigmoid"
            shape = dims_of(tables.scores)
            found = emit.op(operator, tables.scores, role="probabilities", shape=shape)
        return found if axis == 1 else turned(emit, found)


def _log_sigmoid(emit: Emitter, x: ir.Value) -> ir.Value:
    """The logarithm of a probability, whose gradient does not vanish where the model is sure."""
    shape = dims_of(x)
    against = emit.op("Softplus", emit.op("Neg", x, shape=shape), shape=shape)
    return emit.op("Neg", against, role="log", shape=shape)
