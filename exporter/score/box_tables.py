"""This module makes the tables of a detector: class scores and edges of all its boxes, as nodes.

The nodes read the model's values only, and are differentiated with it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...runtime.detector import EDGES
from ..graph.emitter import Dim, Emitter, dims_of
from ..graph.precision import SINGLE
from ..locate.detectors.detection import Centres, Corners, Detection, Distances, Entries

# Left, top, right and bottom from centre x, centre y, width and height, by column.
_TO_EDGES = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]], np.float32)


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
        scores = _joined(emit, detection.scores, axis)
        if detection.no_object:
            scores = _cut(emit, scores, 3 - axis, 0, detection.classes)
        if detection.objectness:
            there = _log_sigmoid(emit, _joined(emit, detection.objectness, axis))
            log = _log_sigmoid(emit, scores)
            scores = emit.op("Add", log, there, role="scores", shape=dims_of(scores))
        edges = _edges(emit, detection, image)
        across = edges if axis == 1 else _turned(emit, edges)
        single = emit.cast(scores, SINGLE, "scores")
        both = emit.op(
            "Concat", single, emit.cast(across, SINGLE, "edges"), role="both", axis=3 - axis,
            shape=_with(dims_of(scores), 3 - axis, detection.classes + EDGES),
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
            logits = emit.cast(_joined(emit, detection.scores, axis), SINGLE, "scores")
            all_classes = emit.op(
                "Softmax", logits, role="probabilities", axis=3 - axis, shape=dims_of(logits)
            )
            found = _cut(emit, all_classes, 3 - axis, 0, detection.classes)
        else:
            # With an objectness the scores are logarithms of probabilities.
            operator = "Exp" if detection.objectness else "Sigmoid"
            shape = dims_of(tables.scores)
            found = emit.op(operator, tables.scores, role="probabilities", shape=shape)
        return found if axis == 1 else _turned(emit, found)


def _log_sigmoid(emit: Emitter, x: ir.Value) -> ir.Value:
    """The logarithm of a probability, whose gradient does not vanish where the model is sure."""
    shape = dims_of(x)
    against = emit.op("Softplus", emit.op("Neg", x, shape=shape), shape=shape)
    return emit.op("Neg", against, role="log", shape=shape)


def _edges(emit: Emitter, detection: Detection, image: ir.Value) -> ir.Value:
    """Left, top, right and bottom in pixels, [N, boxes, 4]."""
    boxes = detection.boxes
    if isinstance(boxes, Corners):
        return _of_corners(emit, boxes, image)
    if isinstance(boxes, Distances):
        raise NotImplementedError
    assert isinstance(boxes, Centres)
    raise NotImplementedError


def _of_corners(emit: Emitter, boxes: Corners, image: ir.Value) -> ir.Value:
    numbers = _joined(emit, boxes.entries, 1)
    numbers = emit.cast(numbers, SINGLE, "boxes")
    if boxes.layout == "cxcywh":
        matrix = emit.constant(_TO_EDGES)
        numbers = emit.op("MatMul", numbers, matrix, role="edges", shape=dims_of(numbers))
    if boxes.units == "pixels":
        return numbers
    sides = emit.vector([(image, 3), (image, 2), (image, 3), (image, 2)])
    scale = emit.op("Cast", sides, role="size", shape=[EDGES], to=int(SINGLE))
    return emit.op("Mul", numbers, scale, role="edges", shape=dims_of(numbers))


def _joined(emit: Emitter, levels: Sequence[Entries], axis: int) -> ir.Value:
    """The entries of all levels, the boxes along ``axis``."""
    found: list[ir.Value] = []
    for one in levels:
        value = _cut(emit, one.value, one.entry_axis, one.first, one.first + one.count)
        found.append(value if one.box_axis == axis else _turned(emit, value))
    if len(found) == 1:
        return found[0]
    extents = [dims_of(value)[axis] for value in found]
    known = [extent for extent in extents if isinstance(extent, int)]
    total: Dim = sum(known) if len(known) == len(extents) else "boxes"
    shape = _with(dims_of(found[0]), axis, total)
    return emit.op("Concat", *found, role="levels", axis=axis, shape=shape)


def _cut(emit: Emitter, value: ir.Value, axis: int, first: int, end: int) -> ir.Value:
    dims = dims_of(value)
    if first == 0 and dims[axis] == end:
        return value
    return emit.op(
        "Slice", value, [first], [end], [axis], role="entries",
        shape=_with(dims, axis, end - first),
    )  # fmt: skip


def _turned(emit: Emitter, value: ir.Value) -> ir.Value:
    batch, one, other = dims_of(value)
    return emit.op("Transpose", value, role="turned", perm=[0, 2, 1], shape=[batch, other, one])


def _with(dims: Sequence[Dim], axis: int, extent: Dim) -> list[Dim]:
    return [extent if place == axis else dim for place, dim in enumerate(dims)]
