"""Dense heads: a row or a column for each anchor, of its box, its classes and perhaps more.

The forms: one output [N, 4 + classes, anchors] or [N, anchors, 4 + classes], with an objectness
before the classes, with coefficients of masks, key points or an angle after them; or boxes and
scores as two outputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from .....runtime.spec.detector import EDGES, BoxEntries, Task
from ....graph.emitter import Emitter, dims_of
from ..anchor_grid import AnchorGrid
from ..detection import Corners, Detection, Entries
from ..file_facts import TASKS, FileFacts
from ..tables.entry_parts import Part, entry_parts
from ..tables.heads import Head, read_head
from ..tables.take_entries import take_entries, take_table

_NOTES = {
    "segment": "boxes are explained by class and edge; masks are not drawn, and not explained",
    "pose": "boxes are explained by class and edge; key points are not drawn, and not explained",
    "obb": "boxes are explained as they stand before they are turned by their angle, around the "
           "same centre; angles are not drawn, and not explained",
}  # fmt: skip


def dense(graph: ir.Graph, facts: FileFacts) -> Detection | None:
    """Recognise decoded boxes and class scores of all anchors, in one output or in two.

    Raises:
        ScoreError: The number of class names does not fit.
    """
    outputs = [value for value in graph.outputs if value.shape and len(dims_of(value)) == 3]
    for output in outputs:
        for axis in (1, 2):
            parts = entry_parts(output, axis)
            if not parts or parts[-1].end <= EDGES or not reaches_maps(parts):
                continue
            grid = _grid(facts, output, 3 - axis)
            head = None if grid is None else read_head(parts, facts, output.name or "")
            if head is not None and grid is not None:
                return _of_one(graph, output, axis, parts, head, grid, facts)
    return _of_two(graph, outputs, facts)


def _grid(facts: FileFacts, value: ir.Value, box_axis: int) -> AnchorGrid | None:
    return None if facts.grid is None else facts.grid(value, box_axis, 0)


def reaches_maps(parts: Sequence[Part]) -> bool:
    """Whether scores come from maps, not from queries: what makes them has rank 4 or more."""
    for part in parts:
        for source in part.sources if part.first >= EDGES else ():
            node = source.producer()
            before = node.inputs[0] if node is not None and part.activation else source
            for axis in range(1, len(dims_of(before)) if before is not None else 1):
                assert before is not None
                found = [one for each in entry_parts(before, axis) for one in each.sources]
                if found and all(one.shape and len(dims_of(one)) >= 4 for one in found):
                    return True
    return False


def _of_one(
    graph: ir.Graph, output: ir.Value, axis: int, parts: Sequence[Part], head: Head,
    grid: AnchorGrid, facts: FileFacts,
) -> Detection:  # fmt: skip
    """The detection of one output that has everything."""
    emit, name, places = Emitter(graph), output.name or "", 3 - axis
    scores = take_table(emit, output, axis, head.first, head.classes, head.activation)
    objectness = list[Entries]()
    if head.factor:
        objectness.append(_factor(emit, output, axis, head))
    elif head.objectness is not None:
        objectness.append(take_table(emit, output, axis, head.objectness, 1, head.activation))
    boxes = take_table(emit, output, axis, 0, EDGES)
    own = grid.vertical_first
    shape = " x ".join("?" if dim is None else str(dim) for dim in dims_of(output))
    task = task_of(graph, head, parts, facts)
    return Detection(
        "dense",
        [scores],
        Corners([upright(emit, boxes, grid)], grid.layout, grid.units),
        task,
        objectness,
        box_entries=[] if own else [BoxEntries(name, places, 0, EDGES)],
        score_entries=[] if own else [BoxEntries(name, places, head.first, head.classes)],
        objectness_entries=[]
        if own or head.objectness is None
        else [BoxEntries(name, places, head.objectness, 1)],
        activated=bool(head.activation),
        names=facts.names,
        size=facts.size,
        evidence=[f"{name} [{shape}] joins 4 numbers of each box and {head.words}",
                  *further(facts, head.classes), grid.words],
        notes=notes_of(task, head.rest),
    )  # fmt: skip


def task_of(graph: ir.Graph, head: Head, parts: Sequence[Part], facts: FileFacts) -> Task:
    """What else a head predicts: as the file says, or as its entries show."""
    if facts.task in TASKS:
        return facts.task
    if head.rest == 1 and any(_is_turned(part) for part in parts if part.first < EDGES):
        return "obb"
    masks = any(
        value.shape is not None and len(value.shape) == 4 and dims_of(value)[1] == head.rest
        for value in graph.outputs
    )
    return "segment" if masks else "detect"


def _is_turned(part: Part, depth: int = 8) -> bool:
    """Whether an angle makes boxes: the sine of something, a few nodes before them."""
    found, fresh = set(part.sources), set(part.sources)
    for _ in range(depth):
        nodes = {node for value in fresh if (node := value.producer()) is not None}
        if any(node.op_type in ("Cos", "Sin") for node in nodes):
            return True
        fresh = {value for node in nodes for value in node.inputs if value} - found
        found |= fresh
    return False


def notes_of(task: str, rest: int) -> list[str]:
    """What users should know of entries that are not explained."""
    if task in _NOTES:
        return [_NOTES[task]]
    entries = "1 further entry" if rest == 1 else f"{rest} further entries"
    return [f"boxes are explained by class and edge; {entries} of each are not"] if rest else []


def further(facts: FileFacts, classes: int) -> list[str]:
    """Evidence beside the graph."""
    found = list[str]()
    if facts.classes == classes:
        # Not whose: an export with the recorded names must give the same bytes.
        found.append(f"{classes} {'class has a name' if classes == 1 else 'classes have names'}")
    if facts.task:
        found.append(f"task {facts.task}")
    return found


def upright(emit: Emitter, boxes: Entries, grid: AnchorGrid) -> Entries:
    """Boxes with the horizontal number of each pair first."""
    if not grid.vertical_first:
        return boxes
    turned = emit.op(
        "Gather", boxes.value, [1, 0, 3, 2], role="upright", axis=boxes.entry_axis,
        shape=dims_of(boxes.value),
    )  # fmt: skip
    return replace(boxes, value=turned)


def _factor(emit: Emitter, value: ir.Value, axis: int, head: Head) -> Entries:
    """The objectness that class scores are multiplied with."""
    taken = take_entries(emit, value, axis, head.first, head.classes, head.activation, factor=True)
    return Entries(taken, 3 - axis, 0, 1)


def _of_two(graph: ir.Graph, outputs: Sequence[ir.Value], facts: FileFacts) -> Detection | None:
    """The detection of boxes and scores as outputs of their own."""
    pairs = [
        (boxes, axis, scores, other)
        for boxes in outputs
        for axis in (1, 2)
        if dims_of(boxes)[axis] == EDGES
        for scores in outputs
        if scores is not boxes
        for other in (1, 2)
        if dims_of(scores)[3 - other] == dims_of(boxes)[3 - axis] and dims_of(scores)[other]
    ]
    for boxes, axis, scores, other in pairs:
        parts = entry_parts(scores, other)
        moved = [shifted(part) for part in parts]
        if len(parts) != 1 or not reaches_maps(moved):
            continue
        grid = _grid(facts, boxes, 3 - axis)
        head = None if grid is None else read_head(moved, facts, scores.name or "")
        if head is None or grid is None or head.objectness is not None:
            continue
        emit, own = Emitter(graph), grid.vertical_first
        numbers = take_table(emit, boxes, axis, 0, EDGES)
        inside = replace(head, first=0)
        return Detection(
            "dense",
            [take_table(emit, scores, other, 0, head.classes, head.activation)],
            Corners([upright(emit, numbers, grid)], grid.layout, grid.units),
            objectness=[_factor(emit, scores, other, inside)] if head.factor else [],
            box_entries=[] if own else [BoxEntries(boxes.name or "", 3 - axis, 0, EDGES)],
            score_entries=[]
            if own
            else [BoxEntries(scores.name or "", 3 - other, 0, head.classes)],
            activated=bool(head.activation),
            names=facts.names,
            size=facts.size,
            evidence=[f"{boxes.name} holds 4 numbers of each box and {scores.name} {head.words}",
                      *further(facts, head.classes), grid.words],
        )  # fmt: skip
    return None


def shifted(part: Part) -> Part:
    """A part of the scores' output as if boxes stood before it."""
    return Part(part.first + EDGES, part.count, part.activation, part.sources, part.start,
                part.objectness)  # fmt: skip
