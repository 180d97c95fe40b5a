"""This module selects boxes: from ``box_index``, ``class_index`` and ``box_target`` to a seed.

A request is about a class score or one edge of a box. Both are entries of one flat table of all
boxes, so that a single one-hot seed and a single walk serve every kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...runtime.spec.detector import EDGES
from ..differentiate.cotangent import Cotangent
from ..graph.emitter import Emitter, dims_of
from ..locate.detectors.detection import Detection
from .box_tables import BoxTables
from .seed import Selection, add_input, resolve


@dataclass(frozen=True)
class BoxSelection:
    """What is explained of a detector.

    Attributes:
        chosen: Classes [N, K], the differentiated scores [N, K] and the seed.
        boxes: float [N, K, 4]: left, top, right, bottom.
        anchors: int64 [N, K], where slots stand for anchors; else None.
        inputs: ``class_index``, ``box_index`` and ``box_target``.
    """

    chosen: Selection
    boxes: ir.Value
    anchors: ir.Value | None
    inputs: tuple[ir.Value, ir.Value, ir.Value]


def select_boxes(
    emit: Emitter, detection: Detection, tables: BoxTables, scale: float = 1.0
) -> BoxSelection:
    """Add the inputs of a request, resolve ranks, and seed the walk at the selected entries.

    Each input is int64 [N or 1, K or 1]; K is the larger of theirs, and 0 if one has none.

    Args:
        emit: Where nodes are added.
        detection: What was recognised.
        tables: From `box_tables`.
        scale: The number in the seed instead of 1; see `seed.cotangent_scale`.
    """
    given = (
        _add(emit, "class_index", -1, "K"),
        _add(emit, "box_index", -1, "box_K"),
        _add(emit, "box_target", 0, "target_K"),
    )
    with emit.scope("boxes"):
        wanted_class, wanted_box, target = _broadcast(emit, tables.flat, given)
        slot = _slots(emit, detection, tables, wanted_box)
        anchor = slot
        if detection.anchors is not None:
            anchor = emit.op("GatherElements", detection.anchors, slot, role="anchor", axis=1)
        place = emit.op("Unsqueeze", anchor, [2], role="place")
        ids = _classes(emit, detection, tables, place, wanted_class)
        if detection.slot_classes is not None:
            own = emit.op("GatherElements", detection.slot_classes, slot, role="own", axis=1)
            first = emit.op("Equal", wanted_class, [-1], role="is_own")
            ids = emit.op("Where", first, own, ids, role="ids")
        edge = emit.op("Add", target, [detection.classes - 1], role="edge")
        entry = emit.op("Where", emit.op("Equal", target, [0]), ids, edge, role="entry")
        flat = _flat(emit, detection, tables, anchor, entry)
        values = emit.op("GatherElements", tables.flat, flat, role="scores", axis=1)
        by_box = emit.op("Transpose", flat, role="by_box", perm=[1, 0])
        boxes = emit.op("GatherND", tables.edges, place, role="boxes", batch_dims=1)
    seed = Cotangent(emit, tables.flat, None, scale, one_hot=by_box)
    anchors = None if detection.anchors is None else anchor
    return BoxSelection(Selection(ids, values, seed), boxes, anchors, given)


def _add(emit: Emitter, name: str, default: int, extent: str) -> ir.Value:
    return add_input(emit, name, np.array([[default]], np.int64), [f"{name}_batch", extent])


def _broadcast(
    emit: Emitter, table: ir.Value, given: tuple[ir.Value, ir.Value, ir.Value]
) -> list[ir.Value]:
    """The three requests as [N, K] each, and K as the emitter's extent."""
    both = emit.op("Add", emit.op("Add", given[0], given[1], role="all"), given[2], role="all")
    none = emit.op("Mul", both, [0], role="none")
    none = emit.op("Expand", none, [(table, 0), 1], role="none")
    emit.classes_dim = emit.op("Shape", none, role="K", shape=[1], start=1, end=2)
    return [emit.op("Add", one, none, role="wanted") for one in given]


def _slots(emit: Emitter, detection: Detection, tables: BoxTables, wanted: ir.Value) -> ir.Value:
    """Boxes by number, [N, K]; ranks by their best class score."""
    other = 3 - tables.box_axis
    best = emit.op("ReduceMax", tables.scores, [other], role="best", keepdims=0)
    if detection.anchors is not None:
        best = emit.op("GatherElements", best, detection.anchors, role="best", axis=1)
    return resolve(emit, best, wanted)


def _classes(
    emit: Emitter, detection: Detection, tables: BoxTables, place: ir.Value, wanted: ir.Value
) -> ir.Value:
    """Classes by number, [N, K]; ranks within each box."""
    scores = tables.scores
    if tables.box_axis == 2:
        # Only the requested boxes are turned, not the whole table.
        rows = emit.op("Expand", emit.op("Unsqueeze", emit.op("Squeeze", place, [2]), [1]),
                       [1, detection.classes, 1], role="columns")  # fmt: skip
        columns = emit.op("GatherElements", scores, rows, role="scores_of", axis=2)
    else:
        rows = emit.op("GatherND", scores, place, role="scores_of", batch_dims=1)
        columns = emit.op("Transpose", rows, role="scores_of", perm=[0, 2, 1])
    ids = resolve(emit, columns, emit.op("Unsqueeze", wanted, [1], role="wanted"))
    return emit.op("Squeeze", ids, [1], role="classes")


def _flat(
    emit: Emitter, detection: Detection, tables: BoxTables, box: ir.Value, entry: ir.Value
) -> ir.Value:
    """The place of an entry of a box in the flat table."""
    if tables.box_axis == 1:
        start = emit.op("Mul", box, [detection.classes + EDGES], role="start")
        return emit.op("Add", start, entry, role="flat")
    extent = dims_of(tables.scores)[2]
    boxes = [extent] if isinstance(extent, int) else [(tables.scores, 2)]
    start = emit.op("Mul", entry, emit.vector(boxes), role="start")
    return emit.op("Add", start, box, role="flat")
