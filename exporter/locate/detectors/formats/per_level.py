"""Heads with outputs of their own for each level: classes, boxes, and objectness or key points.

What the four numbers of a place mean is no part of such a graph. It is known where they are
distributions, where the graph multiplies them by its strides, or from the outputs beside them:

- distributions over bins (GFL, NanoDet, PicoDet, YOLOv8 for mobile chips): distances to the edges
  in strides, from the middle of a cell;
- distances in pixels, times the stride in the graph: from the middle of a cell with a centreness
  (FCOS), else from its corner (RTMDet);
- key points of ten numbers for each anchor, and one class: distances in strides from the corner
  of a cell (SCRFD);
- objectness and four plain numbers: the centre's offset from the corner of a cell, and logarithms
  of sizes (YOLOX, YuNet).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from ....errors import CaptureError, ScoreError
from ....graph.emitter import constant_of
from ..detection import Detection, Distances, Entries, image_input
from ..file_facts import FileFacts
from ..tables.level_outputs import LevelOutput, level_outputs, names_of

_BINS = range(5, 41)
_KEYPOINTS = 10  # two numbers of each of a face's five


@dataclass(frozen=True)
class _Roles:
    """The outputs of one level by what they hold."""

    classes: LevelOutput
    boxes: LevelOutput
    objectness: LevelOutput | None
    keypoints: LevelOutput | None

    @property
    def anchors(self) -> int:
        """Boxes at each place: as many as objectness says, or sets of key points."""
        if self.objectness is not None:
            return self.objectness.channels
        return 1 if self.keypoints is None else self.keypoints.channels // _KEYPOINTS


def levels_format(graph: ir.Graph, facts: FileFacts) -> Detection | None:
    """Recognise outputs that come for each of several levels.

    Raises:
        ScoreError: There are classes and boxes of levels, but nothing shows what boxes mean.
    """
    try:
        found = level_outputs(graph, image_input(graph))
    except CaptureError:
        return None
    if len(found) < 2 or not all(len(level) > 1 for level in found):
        return None
    names = None if facts.names is None else len(facts.names)
    roles = [one for level in found if (one := _roles(level, names)) is not None]
    if len(roles) < len(found):
        return None
    return _detection(roles, facts)


def _roles(level: Sequence[LevelOutput], names: int | None) -> _Roles | None:
    """Which output of a level holds what; None where that is not shown."""
    fours = [one for one in level if one.channels % 4 == 0 and not one.sigmoid]
    keypoints = None
    for one in level:
        if one.channels % _KEYPOINTS == 0 and not one.sigmoid and any(
            4 * one.channels == _KEYPOINTS * other.channels for other in fours if other is not one
        ):  # fmt: skip
            keypoints = one
            fours = [other for other in fours if 4 * one.channels == _KEYPOINTS * other.channels]
    left = [one for one in level if one is not keypoints]
    sure = [one for one in left if one.sigmoid] or [
        one for one in left if one.channels == names or one.is_called("cls", "class", "score")
    ]
    boxes = [one for one in fours if one not in sure]
    if not sure or len(boxes) != 1:
        return None
    objectness = _objectness(sure, left, boxes[0])
    classes = [one for one in sure if one is not objectness]
    if len(classes) != 1:
        return None
    return _Roles(classes[0], boxes[0], objectness, keypoints)


def _objectness(
    sure: Sequence[LevelOutput], left: Sequence[LevelOutput], boxes: LevelOutput
) -> LevelOutput | None:
    """The output that says whether there is any object: one number for each box."""
    called = [one for one in left if one.is_called("obj", "ctr", "cent") and one is not boxes]
    if len(called) == 1:
        return called[0]
    least = min(sure, key=lambda one: one.channels)
    return least if len(sure) == 2 and 4 * least.channels == boxes.channels else None


@dataclass(frozen=True)
class _Reading:
    """What the numbers of a place mean; see `Distances`."""

    bins: int
    offset: float
    form: Literal["edges", "centre"]
    in_strides: bool
    note: str


def _reading(roles: Sequence[_Roles]) -> _Reading:
    """What the numbers of boxes mean.

    Raises:
        ScoreError: Nothing shows it.
    """
    first, anchors = roles[0], roles[0].anchors
    bins, rest = divmod(first.boxes.channels, 4 * anchors)
    if not rest and bins in _BINS:
        note = f"boxes are read as distributions over {bins} distances from the middle of a cell"
        return _Reading(bins, 0.5, "edges", in_strides=True, note=note)
    if bins == 1 and not rest:
        if all(_is_scaled(one.boxes) for one in roles):
            middle = first.objectness is not None
            note = f"boxes are read as distances from the {'middle' if middle else 'corner'} of a "
            return _Reading(
                1, 0.5 * middle, "edges", in_strides=False, note=f"{note}cell in pixels"
            )
        if first.objectness is not None and anchors == 1 and first.objectness.sigmoid:
            note = "boxes are read as offsets from the corner of a cell and logarithms of sizes"
            return _Reading(1, 0.0, "centre", in_strides=True, note=note)
        if first.keypoints is not None and anchors == first.classes.channels:
            note = "boxes are read as distances from the corner of a cell in strides"
            return _Reading(1, 0.0, "edges", in_strides=True, note=note)
    raise ScoreError(
        f"outputs of {len(roles)} levels hold classes and boxes ({names_of([first.boxes])}), but "
        "the graph does not show what the numbers of boxes mean; export the model with the "
        "decoding of its boxes, or explain it as a classifier with --detector off"
    )


def _is_scaled(boxes: LevelOutput) -> bool:
    """Whether the graph multiplies distances by the level's stride, which makes them pixels."""
    node = boxes.map.producer()
    if node is None or node.op_type != "Mul":
        return False
    factors = [constant_of(one) for one in node.inputs]
    return any(one is not None and one.size == 1 and one == boxes.stride for one in factors)


def _detection(roles: list[_Roles], facts: FileFacts) -> Detection:
    first = roles[0]
    read = _reading(roles)
    anchors, classes = first.anchors, first.classes.channels // first.anchors
    strides = [one.classes.stride for one in roles]
    seen = names_of([one for one in vars(first).values() if one is not None])
    evidence = [f"{len(roles)} levels of strides {', '.join(map(str, strides))} with {seen} each"]
    notes = [read.note]
    if first.keypoints is not None:
        notes.append("boxes are explained by class and edge; key points are not")
    entries = [Entries(one.boxes.map, 1, 0, 4 * read.bins, anchors) for one in roles]
    return Detection(
        "levels",
        [Entries(one.classes.map, 1, 0, classes, anchors) for one in roles],
        Distances(entries, read.bins, strides, read.offset, read.form, None, read.in_strides),
        "detect" if first.keypoints is None else "pose",
        [Entries(one.objectness.map, 1, 0, 1, anchors) for one in roles if one.objectness],
        activated=True,
        names=facts.names,
        size=facts.size,
        evidence=evidence,
        notes=notes,
    )
