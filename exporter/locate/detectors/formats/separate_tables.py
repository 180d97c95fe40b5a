"""Dense heads with two outputs: class scores [N, boxes, classes] and boxes [N, boxes, 4]."""

from __future__ import annotations

import onnx_ir as ir

from .....runtime.spec.detector import BoxEntries
from ....errors import ScoreError
from ....graph.emitter import dims_of
from ...output_facts import ending_of, logits_of, output_facts
from ..detection import Corners, Detection, Entries
from ..file_facts import FileFacts
from ..tables.box_layout import layout_of
from ..tables.table_pairs import TablePair, table_pair


def separate_tables(graph: ir.Graph, facts: FileFacts) -> Detection | None:
    """Recognise boxes and probabilities of all anchors in two outputs.

    Raises:
        ScoreError: They are, but the class names do not fit.
    """
    pair = table_pair(graph)
    if pair is None or not pair.evidence or last_layer(graph, pair) != "Conv":
        return None
    ending = ending_of(pair.scores)
    if ending is None or ending.op_type != "Sigmoid":
        return None
    if facts.classes not in (None, pair.classes):
        raise ScoreError(
            f"{facts.classes} class names do not fit: {pair.scores.name} has {pair.classes} "
            f"entries for each box; give {pair.classes} labels"
        )
    reason = f"{pair.scores.name} ends in a Sigmoid"
    return describe(graph, pair, facts, activation="sigmoid", no_object=False, reason=reason)


def last_layer(graph: ir.Graph, pair: TablePair) -> str:
    """The operator of the last layer with weights before the scores: Conv where rows are places."""
    return next(one.maker for one in output_facts(graph) if one.name == pair.scores.name)


def describe(
    graph: ir.Graph,
    pair: TablePair,
    facts: FileFacts,
    *,
    activation: str,
    no_object: bool,
    reason: str,
) -> Detection:
    """Describe two tables whose rows belong together.

    Args:
        graph: The model; nodes that move logits may be added.
        pair: The tables.
        facts: What the file and the user say.
        activation: What makes probabilities of the scores.
        no_object: Whether the last class means that there is nothing.
        reason: Why these.
    """
    ending = ending_of(pair.scores)
    logits = pair.scores if ending is None else logits_of(graph, ending)
    layout, units, why = layout_of(graph, pair.boxes, facts.folder)
    scores, boxes = pair.scores.name or "", pair.boxes.name or ""
    notes = list[str]()
    if pair.others:
        notes.append(f"only {scores} and {boxes} are explained, not {', '.join(pair.others)}")
    rows = dims_of(pair.boxes)[1]
    return Detection(
        "dense",
        [Entries(logits, 1, 0, pair.classes)],
        Corners([Entries(pair.boxes, 1, 0, 4)], layout, units),
        activation=activation,
        no_object=no_object,
        box_entries=[BoxEntries(boxes, 1, 0, 4)],
        score_entries=[BoxEntries(scores, 1, 0, pair.classes)],
        activated=ending is not None,
        names=facts.names,
        size=facts.size,
        evidence=[f"{scores} and {boxes} have {rows} rows each", *pair.evidence, reason, why],
        notes=notes,
    )
