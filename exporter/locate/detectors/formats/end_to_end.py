"""End-to-end heads: one output [N, slots, 6 or more] of the best boxes, selected by TopK inside.

Behind the selection lie dense tables of all anchors (or queries), whose scores and boxes are what
is explained. The selection is repeated on the anchors' numbers, so that each slot knows its own.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from .....runtime.spec.detector import EDGES, BoxEntries, BoxLayout, BoxUnits
from ....errors import ScoreError
from ....graph.emitter import Dim, Emitter, dims_of
from ....graph.queries import ancestors
from ..detection import Corners, Detection
from ..file_facts import TASKS, FileFacts
from ..tables.entry_parts import Part, entry_parts
from ..tables.heads import more
from ..tables.selected_boxes import GATHERS, MOVES, SelectedBoxes, anchors_of, selection_behind
from ..tables.take_entries import take_table
from .dense import further, notes_of

_COLUMNS = 6  # of a slot at least: a box, its score and its class


def end_to_end(graph: ir.Graph, facts: FileFacts) -> Detection | None:
    """Recognise slots with a box, a score and a class that TopK selects.

    Raises:
        ScoreError: The number of class names does not fit.
    """
    for output in graph.outputs:
        dims = dims_of(output) if output.shape is not None else []
        if len(dims) != 3 or not isinstance(dims[2], int) or dims[2] < _COLUMNS:
            continue
        parts = entry_parts(output, 2)
        found = slot_columns(parts)
        if found is None or _suppresses(output):
            continue
        score, label = found
        selected = selection_behind(parts[0].sources[0])
        if selected is None:
            continue
        table = _scores(score.sources[0], dims_of(selected.table)[selected.box_axis])
        meaning = None if table is None else _meaning(facts, selected)
        if table is not None and meaning is not None:
            return _detection(graph, output, selected, table, (score, label), meaning, facts)
    return None


def _suppresses(output: ir.Value) -> bool:
    nodes = (value.producer() for value in ancestors(output))
    return any(node is not None and node.op_type == "NonMaxSuppression" for node in nodes)


def slot_columns(parts: Sequence[Part]) -> tuple[Part, Part] | None:
    """The columns of score and class; None if these are no slots.

    The class is made of integers, and the score comes out of TopK.
    """
    if not parts or parts[0].count < EDGES or len(parts[0].sources) > 1:
        return None
    single = [part for part in parts[1:] if len(part.sources) == 1]
    labels = [one for one in single if one.count == 1 and _of_integers(one.sources[0])]
    scores = [one for one in single if one.count == 1 and _path_to_topk(one.sources[0])]
    return (scores[0], labels[0]) if len(scores) == 1 and len(labels) == 1 else None


def _of_integers(value: ir.Value) -> bool:
    return value.dtype is not None and value.dtype.is_integer()


def _path_to_topk(value: ir.Value) -> bool:
    """Whether a value is the first result of TopK, moved or made a probability."""
    node = value.producer()
    while node is not None and node.op_type in MOVES | {"Sigmoid"} and node.inputs[0] is not None:
        value = node.inputs[0]
        node = value.producer()
    return node is not None and node.op_type == "TopK" and value is node.outputs[0]


def _scores(value: ir.Value, boxes: Dim) -> tuple[ir.Value, int, Part] | None:
    """The table of all class scores behind a selection, its axis of classes and their origin."""
    found, node = None, value.producer()
    while node is not None and node.inputs and node.inputs[0] is not None:
        if node.op_type not in GATHERS | MOVES | {"TopK", "ReduceMax", "Sigmoid"}:
            break
        before = node.inputs[0]
        dims = dims_of(before) if before.shape is not None else []
        if len(dims) == 3 and boxes in dims[1:]:
            axis = 2 if dims[1] == boxes else 1
            parts = entry_parts(before, axis)
            if len(parts) == 1:
                found = (before, axis, parts[0])
        if node.op_type == "Sigmoid" and found is not None:
            break
        node = before.producer()
    return found


def _meaning(facts: FileFacts, selected: SelectedBoxes) -> tuple[BoxLayout, BoxUnits, str] | None:
    """What the four numbers of a box are, and what shows it."""
    grid = None if facts.grid is None else facts.grid(selected.table, selected.box_axis, 0)
    grid = None if grid is None or grid.vertical_first else grid
    if grid is not None and grid.full:
        return grid.layout, grid.units, grid.words
    sources = [one for part in entry_parts(selected.table, 3 - selected.box_axis)
               for one in part.sources]  # fmt: skip
    endings = {node.op_type for one in sources if (node := one.producer()) is not None}
    if endings == {"Sigmoid"}:
        return "cxcywh", "unit", "its boxes end in Sigmoid: centres and sizes, as shares"
    return None if grid is None else (grid.layout, grid.units, grid.words)


def _detection(
    graph: ir.Graph,
    output: ir.Value,
    selected: SelectedBoxes,
    table: tuple[ir.Value, int, Part],
    columns: tuple[Part, Part],
    meaning: tuple[BoxLayout, BoxUnits, str],
    facts: FileFacts,
) -> Detection:
    emit, name = Emitter(graph), output.name or ""
    scores, axis, origin = table
    layout, units, words = meaning
    classes = dims_of(scores)[axis]
    assert isinstance(classes, int)
    check_names(facts, classes, f"the scores behind {name!r}")
    activation = origin.activation if origin.activation == "Sigmoid" else ""
    logits = take_table(emit, scores, axis, 0, classes, activation)
    boxes = take_table(emit, selected.table, 3 - selected.box_axis, 0, EDGES)
    score, label = columns
    slots, entries = dims_of(output)[1:]
    rest = (entries if isinstance(entries, int) else 0) - _COLUMNS
    task = facts.task if facts.task in TASKS else "detect"
    shape = " x ".join("?" if dim is None else str(dim) for dim in dims_of(output))
    return Detection(
        "end_to_end",
        [logits],
        Corners([boxes], layout, units),
        task,
        anchors=anchors_of(emit, selected),
        slot_classes=_slot_classes(emit, output, label),
        box_entries=[BoxEntries(name, 1, 0, EDGES)],
        score_entries=[BoxEntries(name, 1, score.first, 1)],
        class_entries=[BoxEntries(name, 1, label.first, 1)],
        activated=True,
        final=True,
        names=facts.names,
        size=facts.size,
        evidence=[
            f"{name} [{shape}] holds {slots} slots with a box, a score and a class"
            f"{more(rest)}, which TopK selects of {classes} classes' scores",
            *further(facts, classes), words,
        ],
        notes=notes_of(task, rest),
    )  # fmt: skip


def check_names(facts: FileFacts, classes: int, where: str) -> None:
    """Refuse class names whose number is not that of the classes.

    Raises:
        ScoreError: With both numbers.
    """
    if facts.classes in (None, classes):
        return
    raise ScoreError(
        f"{where} are those of {classes} {'class' if classes == 1 else 'classes'}, and "
        f"{facts.whose_names} {facts.classes}; give labels (--labels) with one name a class, or "
        "take the model for a classifier with detector='off' (--detector off)"
    )


def _slot_classes(emit: Emitter, output: ir.Value, label: Part) -> ir.Value:
    """int64 [N, slots], the class of each slot, as the output says."""
    batch, slots = dims_of(output)[:2]
    with emit.scope("anchors"):
        place = emit.constant(np.array(label.first, np.int64))
        column = emit.op("Gather", output, place, role="class", axis=2, shape=[batch, slots])
        return emit.op(
            "Cast", column, role="class", shape=[batch, slots], to=int(ir.DataType.INT64)
        )
