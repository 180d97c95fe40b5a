"""`read_head` tells what the entries of a dense output are: boxes, objectness, classes, the rest.

It reads the entries' origins, in order, and the number of class names, which decides where the
graph leaves two readings.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from .....runtime.spec.detector import EDGES
from ....errors import ScoreError
from ....graph.queries import ancestors
from ..file_facts import FileFacts
from .entry_parts import Part, entry_parts


@dataclass(frozen=True)
class Head:
    """The entries of a dense output after the four of each box.

    Attributes:
        first: The first class.
        classes: Number of classes.
        activation: ``Sigmoid`` where the entries are probabilities; an empty string for logits.
        objectness: The entry before the classes that says whether there is any object, if any.
        factor: The class entries are multiplied with the objectness already.
        rest: Number of entries after the classes: coefficients, key points or an angle.
        words: What shows it.
    """

    first: int
    classes: int
    activation: str
    objectness: int | None
    factor: bool
    rest: int
    words: str


def read_head(
    parts: Sequence[Part], facts: FileFacts, name: str, first: int = EDGES
) -> Head | None:
    """Read the parts of a dense output from entry ``first`` on.

    Args:
        parts: All parts of its axis of entries.
        facts: What is known beside the graph.
        name: The output's, for messages.
        first: Number of entries of a box.

    Returns:
        None if the parts show no classes.

    Raises:
        ScoreError: They do, and the number of class names does not fit.
    """
    rest = [part for part in parts if part.first >= first]
    if not rest or rest[0].first != first or any(p.first < first < p.end for p in parts):
        return None
    of_boxes = set[ir.Value]()
    for part in parts:
        if part.first < first:
            of_boxes |= {one for source in part.sources for one in ancestors(source)}
    end, expected = parts[-1].end, facts.classes
    head = _probabilities(rest, of_boxes, expected, end) or _logits(rest, facts, end)
    if head is not None and expected not in (None, head.classes):
        raise ScoreError(
            f"{name!r} holds {head.classes} {'classes' if head.classes != 1 else 'class'} after "
            f"{head.first} other entries of each box, and {facts.whose_names} {expected}; give "
            "labels (--labels) with one name a class, or take the model for a classifier with "
            "detector='off' (--detector off)"
        )
    return head


def _probabilities(
    rest: Sequence[Part], of_boxes: set[ir.Value], expected: int | None, end: int
) -> Head | None:
    """A head whose classes are probabilities."""
    start = rest[0]
    if start.activation != "Sigmoid":
        named = [p for p in rest if p.activation == "Sigmoid" and p.count == expected]
        return _head(named[0], None, end) if len(named) == 1 else None
    after = rest[1] if len(rest) > 1 else None
    if start.count == 1 and after is not None and after.activation == "Sigmoid":
        angle = after.count == 1 and not of_boxes.isdisjoint(after.sources)
        if not angle and (expected is None or expected == after.count):
            return _head(after, start.first, end)
    together = not of_boxes.isdisjoint(start.sources) or _starts_apart(start)
    if start.count > 1 and not start.objectness and expected != start.count and together:
        # One sigmoid for a whole row, boxes included, has the objectness first; so has one for
        # two branches of the head.
        return _head(start, start.first, end, inside=1)
    return _head(start, None, end)


def _starts_apart(part: Part) -> bool:
    """Whether the first of some probabilities comes from a branch of its own."""
    logits = [node.inputs[0] for source in part.sources if (node := source.producer())]
    for value in logits:
        if value is None or value.shape is None or len(value.shape) < 3:
            return False
        before = [entry_parts(value, axis) for axis in range(1, len(value.shape))]
        apart = [
            one for one in before
            if len(one) == 2 and (one[0].count, one[1].count) == (1, part.count - 1)
        ]  # fmt: skip
        if not apart:
            return False
    return bool(logits)


def _head(part: Part, objectness: int | None, end: int, inside: int = 0) -> Head:
    classes = part.count - inside
    words = f"{classes} {'probabilities' if classes > 1 else 'probability'}"
    if objectness is not None:
        words = f"the probability of any object and {words}"
    elif part.objectness:
        words += ", times that of any object"
    rest = end - part.end
    words += more(rest)
    return Head(part.first + inside, classes, "Sigmoid", objectness, bool(part.objectness), rest,
                words)  # fmt: skip


def _logits(rest: Sequence[Part], facts: FileFacts, end: int) -> Head | None:
    """A head whose classes are logits: their number is that of the names."""
    if any(part.activation for part in rest):
        return None
    named = [part for part in rest if part.count == facts.classes]
    if facts.insisted and facts.classes is None:
        named = list(rest)
    if len(named) != 1:
        return None
    part = named[0]
    rest_count = end - part.end
    words = f"{part.count} logits{more(rest_count)}"
    return Head(part.first, part.count, "", None, factor=False, rest=rest_count, words=words)


def more(entries: int) -> str:
    """Words for entries after the classes."""
    if not entries:
        return ""
    return f" (and {entries} more {'entry' if entries == 1 else 'entries'})"
