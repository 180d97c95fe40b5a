"""This module finds two outputs of a detector that belong together: class scores and boxes.

Both have a row for each box, [N, boxes, classes] and [N, boxes, 4]. Models often return more such
tables: those of earlier decoder layers, of an encoder, or hidden states.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import onnx_ir as ir

from .....runtime.spec.detector import EDGES
from ....graph.emitter import dims_of
from ....graph.queries import ancestors

_OF_BOXES = re.compile(r"box|(?<![a-z])dets?(?![a-z])|(?<![a-z])loc|coord")
_OF_CLASSES = re.compile(r"logit|score|prob|conf|class|label|(?<![a-z])cls")
_RANK = 3
_MOST_TABLES = 64  # that are compared; the decoders of detectors give a dozen
# Operators that move entries, or choose some of them: a layer's out of all layers'.
_CHOOSING = frozenset(
    {"Identity", "Cast", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}
    | {"Concat", "Gather", "Slice", "Split"}
)


@dataclass(frozen=True)
class TablePair:
    """Class scores [N, boxes, classes] and boxes [N, boxes, 4], two outputs of one graph.

    Attributes:
        scores: The class scores.
        boxes: The boxes.
        evidence: What shows that they are these.
        others: Outputs beside them.
    """

    scores: ir.Value
    boxes: ir.Value
    evidence: tuple[str, ...]
    others: tuple[str, ...]

    @property
    def classes(self) -> int:
        """Number of scores of a box."""
        extent = dims_of(self.scores)[2]
        assert isinstance(extent, int)
        return extent


def table_pair(graph: ir.Graph) -> TablePair | None:
    """The outputs that hold class scores and boxes; None where fewer than two look like that.

    Of several the names decide, then how much of the graph they depend on: the last decoder
    layer's depend on the most.
    """
    tables = [value for value in graph.outputs if _is_table(value)][:_MOST_TABLES]
    depth = {value: ancestors(value) for value in tables}
    # A hidden state is no score: scores are computed from it.
    ends = [
        value for value in tables
        if _named(value)
        or not any(value in depth[other] for other in tables if other is not value)
    ]  # fmt: skip

    def rank(value: ir.Value, role: str) -> tuple[bool, bool, int]:
        named = _named(value) == role
        probable = not named and role == "boxes" and bool(sigmoids_behind(value))
        return named, probable, len(depth[value])

    boxes = [value for value in ends if dims_of(value)[2] == EDGES and _named(value) != "scores"]
    for box in sorted(boxes, key=lambda value: rank(value, "boxes"), reverse=True):
        rows = dims_of(box)[1]
        scores = [
            value for value in ends
            if value is not box and dims_of(value)[1] == rows and _named(value) != "boxes"
        ]  # fmt: skip
        if scores:
            best = max(scores, key=lambda value: rank(value, "scores"))
            others = [one.name or "" for one in graph.outputs if one not in (best, box)]
            return TablePair(best, box, _evidence(best, box), tuple(others))
    return None


def _is_table(value: ir.Value) -> bool:
    floats = value.dtype is not None and value.dtype.is_floating_point()
    if not floats or value.shape is None or len(value.shape) != _RANK:
        return False
    return dims_of(value)[1] is not None and isinstance(dims_of(value)[2], int)


def _named(value: ir.Value) -> str:
    """What a name says: boxes, scores, or nothing."""
    name = (value.name or "").lower()
    if _OF_BOXES.search(name):
        return "boxes"
    return "scores" if _OF_CLASSES.search(name) else ""


def sigmoids_behind(value: ir.Value) -> list[ir.Node]:
    """The Sigmoids that all entries of a value come from, moved and chosen; none if others do."""
    found, stack, seen = list[ir.Node](), [value], set[ir.Value]()
    while stack:
        one = stack.pop()
        node = one.producer()
        if one in seen:
            continue
        seen.add(one)
        if node is None or (node.op_type not in _CHOOSING and node.op_type != "Sigmoid"):
            return []
        if node.op_type == "Sigmoid":
            found.append(node)
            continue
        before = node.inputs if node.op_type == "Concat" else node.inputs[:1]
        stack.extend(part for part in before if part is not None)
    return found


def _evidence(scores: ir.Value, boxes: ir.Value) -> tuple[str, ...]:
    """What shows it beside the shapes."""
    found = list[str]()
    if _named(scores) == "scores" and _named(boxes) == "boxes":
        found.append("the names say so")
    if sigmoids_behind(boxes):
        found.append(f"{boxes.name} ends in a Sigmoid")
    return tuple(found)
