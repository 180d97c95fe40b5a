"""DETR and its kin: a fixed number of queries, each with class scores and a box.

One output holds class scores [N, queries, classes], another boxes [N, queries, 4]. Those without
reference points (DETR, YOLOS, Table Transformer) have one class more, which means no object, and a
softmax. Those that refine reference points (Conditional and Deformable DETR, RT-DETR, D-FINE) have
a sigmoid for each class.
"""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from ....errors import ScoreError
from ....graph.emitter import constant_of
from ....graph.queries import ancestors
from ...output_facts import ending_of
from ..detection import Detection
from ..file_facts import FileFacts
from ..tables.table_pairs import TablePair, sigmoids_behind, table_pair
from .separate_tables import describe, last_layer

_PRODUCTS = frozenset({"MatMul", "Gemm", "Conv"})
# Operators of families that score each class apart: two-stage queries, deformable attention.
_OF_SIGMOIDS = {"TopK": "queries are chosen by class scores", "GridSample": "attention samples"}


def queries(graph: ir.Graph, facts: FileFacts) -> Detection | None:
    """Recognise two outputs of queries: class scores and boxes.

    Raises:
        ScoreError: They are, but softmax or sigmoid is in doubt, or the labels do not fit.
    """
    wanted = facts.wanted == "queries"
    pair = table_pair(graph)
    if pair is None or not (pair.evidence or wanted):
        return None
    if last_layer(graph, pair) == "Conv" and not wanted:
        return None  # rows of places, not of queries
    kind, no_object, reason = _activation(pair, facts)
    found = describe(graph, pair, facts, activation=kind, no_object=no_object, reason=reason)
    return replace(found, format="queries", final=True)  # a set: each object has one query


def _activation(pair: TablePair, facts: FileFacts) -> tuple[str, bool, str]:
    """What makes probabilities of the scores, whether the last class is no object, and why.

    Raises:
        ScoreError: Nothing shows it, or the number of names fits neither.
    """
    extent = pair.classes
    count = facts.classes
    shown = f"{pair.scores.name} has {extent} entries for each box"
    if count is not None and count not in (extent, extent - 1):
        raise ScoreError(
            f"{count} class names do not fit: {shown}; give {extent} labels (a sigmoid for each "
            f"class) or {extent - 1} (a softmax, whose last class means no object)"
        )
    ending = ending_of(pair.scores)
    if ending is not None:
        kind = "sigmoid" if ending.op_type == "Sigmoid" else "softmax"
        if kind == "sigmoid" and count == extent - 1:
            raise ScoreError(
                f"{count} class names do not fit: {shown}, each with a Sigmoid; give {extent}"
            )
        no_object = kind == "softmax" and count != extent
        return kind, no_object, f"{pair.scores.name} ends in a {ending.op_type}"
    if facts.activation in ("sigmoid", "softmax"):
        softmax = facts.activation == "softmax"
        return facts.activation, softmax and count != extent, f"{facts.activation} was asked for"
    if count is not None:
        kind = "sigmoid" if count == extent else "softmax"
        return kind, kind == "softmax", f"{extent} scores for {count} class names: {kind}"
    if reason := _of_sigmoids(pair):
        return "sigmoid", False, f"{reason}: sigmoid"
    raise ScoreError(
        f"{pair.scores.name} and {pair.boxes.name} are those of queries, but nothing shows what "
        f"{extent} scores are: sigmoids of {extent} classes, or a softmax of {extent - 1} and "
        f"of no object; give {extent} or {extent - 1} labels (--labels), or activation sigmoid or "
        "softmax"
    )


def _of_sigmoids(pair: TablePair) -> str:
    """What in the graph is found in families with a sigmoid only; empty for nothing."""
    if _refines(pair.boxes):
        return "boxes refine reference points"
    for value in ancestors(pair.scores):
        node = value.producer()
        if node is not None and node.op_type in _OF_SIGMOIDS:
            return f"{_OF_SIGMOIDS[node.op_type]} ({node.op_type})"
    return ""


def _refines(boxes: ir.Value) -> bool:
    """Whether something that is not constant is added to the last layer's result.

    DETR's boxes are a Sigmoid of a linear layer. Its successors add a reference point before it.
    """
    stack = [node.inputs[0] for node in sigmoids_behind(boxes)]
    seen = set[ir.Value]()
    while stack:
        value = stack.pop()
        node = None if value is None or value in seen else value.producer()
        if node is None or value is None or node.op_type in _PRODUCTS:
            continue
        seen.add(value)
        moving = [one for one in node.inputs if one is not None and constant_of(one) is None]
        if node.op_type == "Add" and len(moving) > 1:
            return True
        stack.extend(moving)
    return False
