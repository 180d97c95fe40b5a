"""Detectors with a NonMaxSuppression in the graph: its inputs are the dense boxes and scores.

Converters filter, move and shift boxes before it (a class-wise suppression by an offset, for
example). The tables are therefore the last values of rank 3 before it that hold the scores of all
classes, and the four numbers, of all anchors.
"""

from __future__ import annotations

from collections.abc import Iterator

import onnx_ir as ir

from .....runtime.spec.detector import EDGES
from ....graph.emitter import Dim, Emitter, dims_of
from ....graph.infer_shapes import shaped_by_data
from ....graph.queries import ancestors
from ..anchor_grid import AnchorGrid
from ..detection import Corners, Detection, Entries
from ..file_facts import TASKS, FileFacts
from ..tables.entry_parts import Part, entry_parts
from ..tables.take_entries import take_entries, take_table
from .dense import further, notes_of, reaches_maps, shifted, upright
from .end_to_end import check_names

SUPPRESSION = "NonMaxSuppression"


def nms(graph: ir.Graph, facts: FileFacts) -> Detection | None:
    """Recognise the dense tables before a NonMaxSuppression.

    Raises:
        ScoreError: The number of class names does not fit.
    """
    found = next((node for node in graph if node.op_type == SUPPRESSION), None)
    if found is None or found.inputs[0] is None or found.inputs[1] is None:
        return None
    by_data = shaped_by_data(graph)
    for scores in _tables(graph, found.inputs[1], by_data):
        for axis in (1, 2):
            parts = entry_parts(scores, axis)
            if len(parts) != 1 or parts[0].activation != "Sigmoid":
                continue
            if not reaches_maps([shifted(parts[0])]):
                continue
            boxes = _boxes(graph, found.inputs[0], dims_of(scores)[3 - axis], by_data, facts)
            if boxes is not None:
                return _detection(graph, (scores, axis, parts[0]), boxes, facts)
    return None


def _tables(graph: ir.Graph, before: ir.Value, by_data: set[ir.Value]) -> Iterator[ir.Value]:
    """The tables of rank 3 that a value depends on, the last one first."""
    behind = ancestors(before) - by_data
    for node in reversed(list(graph)):
        for value in node.outputs:
            if value in behind and value.shape is not None and len(value.shape) == 3:
                yield value


def _boxes(
    graph: ir.Graph, before: ir.Value, boxes: Dim, by_data: set[ir.Value], facts: FileFacts
) -> tuple[ir.Value, int, AnchorGrid] | None:
    """The last table of four numbers of as many boxes, its axis of boxes and their meaning."""
    for value in _tables(graph, before, by_data):
        for axis in (1, 2):
            dims = dims_of(value)
            if dims[axis] != boxes or dims[3 - axis] != EDGES or facts.grid is None:
                continue
            if (grid := facts.grid(value, axis, 0)) is not None:
                return value, axis, grid
    return None


def _detection(
    graph: ir.Graph, table: tuple[ir.Value, int, Part], boxes: tuple[ir.Value, int, AnchorGrid],
    facts: FileFacts,
) -> Detection:  # fmt: skip
    emit = Emitter(graph)
    scores, axis, part = table
    value, box_axis, grid = boxes
    check_names(facts, part.count, "the scores before its NonMaxSuppression")
    logits = take_table(emit, scores, axis, 0, part.count, part.activation)
    objectness = [
        Entries(take_entries(emit, scores, axis, 0, part.count, part.activation, factor=True),
                3 - axis, 0, 1)
    ] if part.objectness else []  # fmt: skip
    numbers = upright(emit, take_table(emit, value, 3 - box_axis, 0, EDGES), grid)
    task = facts.task if facts.task in TASKS else "detect"
    return Detection(
        "nms",
        [logits],
        Corners([numbers], grid.layout, grid.units),
        task,
        objectness,
        names=facts.names,
        size=facts.size,
        evidence=[
            f"a {SUPPRESSION} selects of boxes with {part.count} "
            f"{'probabilities' if part.count > 1 else 'probability'} each",
            *further(facts, part.count), grid.words,
        ],
        notes=notes_of(task, 0),
    )  # fmt: skip
