"""A `Detection` describes a detector in a graph: where class scores and boxes are, and its layers.

The formats differ in where numbers lie, not in what they mean. Each module of a format gives a
`Detection`; `score.boxes` makes scores [N, boxes, classes] and corners [N, boxes, 4] of it, and
knows no formats.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import onnx_ir as ir

from ....runtime.spec import Preprocess
from ....runtime.spec.detector import BoxEntries, BoxLayout, BoxUnits, DetectorFormat, Task
from ...errors import CaptureError


@dataclass(frozen=True)
class Entries:
    """Consecutive entries of all boxes, or of those of one level, in one value of the graph.

    Attributes:
        value: Of rank 3: the batch (axis 0), boxes and entries; or a map [N, anchors * entries, h,
            w], whose boxes are numbered by row, column and anchor.
        box_axis: The axis of the boxes, 1 or 2; of a map, the one that they get in a table.
        first: The first entry.
        count: Number of entries.
        anchors: Boxes at each place of a map.
    """

    value: ir.Value
    box_axis: int
    first: int
    count: int
    anchors: int = 1

    @property
    def entry_axis(self) -> int:
        """The axis of the entries."""
        return 3 - self.box_axis


@dataclass(frozen=True)
class Corners:
    """Boxes whose four numbers lie in the graph, decoded.

    Attributes:
        entries: The numbers, one for each level.
        layout: Their meaning.
        units: Pixels of the model's input, or shares of its width and height.
    """

    entries: Sequence[Entries]
    layout: BoxLayout
    units: BoxUnits


@dataclass(frozen=True)
class Distances:
    """Boxes as four numbers that are measured from a place.

    Attributes:
        entries: The numbers, one value for each level; each of ``bins`` logits.
        bins: Bins of the distribution of each number; 1 for the number itself.
        strides: Pixels between two places of each level.
        offset: Where a place lies in its cell: 0.5 for its middle, 0 for its left upper corner.
        form: ``edges``: distances to the left, top, right and bottom edge; ``centre``: the centre's
            offset from the place, and the logarithms of width and height.
        grids: The grid (height, width) of each level; None where the entries are maps.
        in_strides: The numbers are in strides; otherwise in pixels.
    """

    entries: Sequence[Entries]
    bins: int
    strides: Sequence[int]
    offset: float = 0.5
    form: Literal["edges", "centre"] = "edges"
    grids: Sequence[tuple[int, int]] | None = None
    in_strides: bool = True


@dataclass(frozen=True)
class Centres:
    """Boxes around the centres of a heat map.

    Attributes:
        sizes: [N, 2, h, w], of boxes, in strides.
        offsets: [N, 2, h, w], of centres from a place, in strides; None where there are none.
        stride: Pixels between two places.
        exponential: Whether sizes are logarithms.
        vertical_first: Whether sizes and offsets hold the height before the width.
        offset: Where a place lies in its cell: 0.5 for its middle, 0 for its left upper corner.
    """

    sizes: ir.Value
    offsets: ir.Value | None
    stride: int
    exponential: bool
    vertical_first: bool
    offset: float = 0.5


@dataclass(frozen=True)
class LevelFound:
    """A level of a detector.

    Attributes:
        value: The target layer's output.
        first: The first of its boxes; None where boxes belong to no level.
        count: Number of its boxes; None likewise.
        stride: Pixels of the model's input from one place to the next, (vertical, horizontal); None
            where no size of the input could be tried.
    """

    value: ir.Value
    first: int | None = None
    count: int | None = None
    stride: tuple[float, float] | None = None


@dataclass(frozen=True)
class Detection:
    """A detector, as its graph shows it.

    Attributes:
        format: See `runtime.spec.detector.Detector`.
        task: Likewise.
        scores: Class scores: logits, one for each level.
        boxes: How corners come about.
        objectness: Logits of any object [1 entry], one for each level; empty if there are none.
        activation: What makes probabilities of the scores: sigmoid or softmax.
        no_object: The last class means that there is nothing.
        anchors: int64 [N, slots], the box in ``scores`` and ``boxes`` behind each slot, where a
            selection inside the graph gives slots; None where boxes are requested themselves.
        slot_classes: int64 [N, slots], their classes, likewise.
        box_entries: Where a runtime finds boxes in the model's outputs; empty where no output holds
            them as ``box_layout`` says: then the artifact gets outputs of its own.
        score_entries: Likewise.
        class_entries: Likewise; of slots only.
        objectness_entries: Likewise.
        activated: Whether the scores in the outputs are probabilities.
        final: The outputs need no suppression of overlapping boxes.
        names: Class names by id; None if the file has none.
        size: Height and width of the input that the file names for open sizes; else None.
        evidence: What showed it.
        notes: What users should know, such as masks that are not explained.
        transform: The training transform, if the file's metadata show it; see `family_transform`.
    """

    format: DetectorFormat
    scores: Sequence[Entries]
    boxes: Corners | Distances | Centres
    task: Task = "detect"
    objectness: Sequence[Entries] = ()
    activation: str = "sigmoid"
    no_object: bool = False
    anchors: ir.Value | None = None
    slot_classes: ir.Value | None = None
    box_entries: Sequence[BoxEntries] = ()
    score_entries: Sequence[BoxEntries] = ()
    class_entries: Sequence[BoxEntries] = ()
    objectness_entries: Sequence[BoxEntries] = ()
    activated: bool = False
    final: bool = False
    names: Sequence[str] | None = None
    size: tuple[int, int] | None = None
    evidence: Sequence[str] = ()
    notes: Sequence[str] = field(default_factory=list[str])
    transform: Preprocess | None = None

    @property
    def classes(self) -> int:
        """Number of classes, one that means no object not counted."""
        return self.scores[0].count - self.no_object

    @property
    def leaves(self) -> list[ir.Value]:
        """The values that scores and boxes are read from, boxes last."""
        boxes = self.boxes
        if isinstance(boxes, Centres):
            of_boxes = [boxes.sizes, *([boxes.offsets] if boxes.offsets else [])]
        else:
            of_boxes = [one.value for one in boxes.entries]
        scores = [one.value for one in (*self.scores, *self.objectness)]
        return [*scores, *of_boxes]


def image_input(graph: ir.Graph) -> ir.Value:
    """The input whose pixels boxes are measured in.

    Raises:
        CaptureError: None is an image.
    """
    for value in graph.inputs:
        if value.shape is not None and len(value.shape) == 4 and not value.is_initializer():
            return value
    raise CaptureError("a detector needs an input [N, channels, height, width]; it has none")
