"""A `Detector` is the part of an artifact's metadata that describes boxes.

A detector's outputs hold numbers for many boxes: of anchors, queries or slots, all called boxes
here. This record says where they lie in the outputs, so that one decoder reads every format.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Literal

from ..bounds import Count, Length, Name, Positive, Range

DetectorFormat = Literal["dense", "end_to_end", "queries", "levels", "centres", "nms"]
BoxLayout = Literal["xyxy", "cxcywh"]
BoxUnits = Literal["pixels", "unit"]
Task = Literal["detect", "segment", "pose", "obb"]
# What `box_target` selects, by its number.
TARGETS = ("class", "left", "top", "right", "bottom")
EDGES = 4


@dataclass(frozen=True)
class BoxEntries:
    """Consecutive entries of all boxes, or of those of one level, in one output.

    Attributes:
        output: Name of the output, of rank 3: the batch (axis 0), boxes and entries.
        box_axis: The axis of the boxes, 1 or 2; the entries lie along the other one.
        first: The first entry.
        count: Number of entries.
    """

    output: Name
    box_axis: Annotated[int, Range(1, 2)]
    first: Count
    count: Positive


@dataclass(frozen=True)
class Level:
    """A target layer of a detector, and the boxes that are predicted at its places.

    Attributes:
        layer: Name of the layer, as in the metadata's `layers`.
        first: The first of its boxes; None where boxes belong to no level (queries, slots) or
            depend on open sizes.
        count: Number of its boxes; None likewise.
        stride: Pixels of the model's input from one place to the next, (vertical, horizontal).
    """

    layer: Name
    first: Count | None
    count: Positive | None
    stride: Annotated[list[Annotated[float, Range(1e-6, 65536)]], Length(0, 2)]


@dataclass(frozen=True)
class Detector:
    """How boxes are requested, and where the model's outputs hold them.

    Attributes:
        format: ``dense``: a row or column for each anchor; ``end_to_end``: the best slots, selected
            inside; ``queries``: DETR and its kin; ``levels``: outputs for each level; ``centres``:
            a heat map of centres; ``nms``: dense boxes before a NonMaxSuppression in the graph.
        task: What else the head predicts, which is not explained: masks, key points, angles.
        box_index: Name of the input, int64 [N or 1, K]: boxes from 0, ranks by the best class score
            from -1 (the best) downwards.
        box_target: Name of the input, int64 [N or 1, K]: 0 the class score, 1 to 4 the left, top,
            right and bottom edge in pixels of the model's input.
        boxes: Name of the output, float32 [N, K, 4]: left, top, right, bottom in these pixels.
        heatmap: Name of the output, float32 [N, K, h, w] on the finest level's grid: the sum of
            the levels' HiResCAM maps, the coarser ones resized bilinearly.
        box_entries: Where the four numbers of all boxes lie, one for each level of ``levels``.
        score_entries: Where their scores of all classes lie; of ``end_to_end`` the score of one.
        box_layout: Corners, or centre and size.
        box_units: Pixels of the model's input, or shares of its width and height.
        activated: Whether the scores in the outputs are probabilities already.
        class_entries: Where the class ids of slots lie; None if all classes have a score.
        objectness_entries: Where the probability of any object lies, if that is apart.
        no_object: The last class means that there is nothing.
        final: The outputs are the detections: no suppression of overlapping boxes is needed.
        anchors: Name of the output, int64 [N, K]: the anchor behind each requested slot.
        tables: Names of the outputs that ``box_entries`` and ``score_entries`` read, float32
            [N, boxes, 4] and [N, boxes, classes], where the artifact adds them: the model's own
            outputs then hold no decoded boxes, or no scores of all classes.
        levels: The target layers, the finest first.
        evidence: What showed that the model is a detector of this format.
    """

    format: DetectorFormat
    task: Task
    box_index: Name
    box_target: Name
    boxes: Name
    heatmap: Name
    box_entries: Annotated[list[BoxEntries], Length(1)]
    score_entries: Annotated[list[BoxEntries], Length(1)]
    box_layout: BoxLayout
    box_units: BoxUnits
    activated: bool
    levels: Annotated[list[Level], Length(1)]
    evidence: list[str]
    final: bool = False
    class_entries: list[BoxEntries] | None = None
    objectness_entries: list[BoxEntries] | None = None
    no_object: bool | None = None
    anchors: Name | None = None
    tables: list[Name] | None = None

    @property
    def has_slots(self) -> bool:
        """Whether boxes are slots, selected inside the graph and fixed within one run only."""
        return self.anchors is not None or self.class_entries is not None

    @property
    def entries(self) -> list[BoxEntries]:
        """All that is read off the outputs to decode boxes."""
        further = (self.class_entries or [], self.objectness_entries or [])
        return [*self.box_entries, *self.score_entries, *further[0], *further[1]]

    @property
    def own_inputs(self) -> Sequence[str]:
        """Names of the inputs that only an artifact of a detector has."""
        return (self.box_index, self.box_target)

    @property
    def own_outputs(self) -> Sequence[str]:
        """Names of the outputs likewise."""
        return (*self.requested, *(self.tables or ()))

    @property
    def requested(self) -> Sequence[str]:
        """Names of those that are about the requested boxes, [N, K, ...]."""
        anchors = [self.anchors] if self.anchors else []
        return (self.boxes, self.heatmap, *anchors)
