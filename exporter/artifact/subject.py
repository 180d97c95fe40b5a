"""A `Subject` is what an artifact explains: the classes of its outputs, or a detector's boxes.

Both are one table of numbers of which a request selects some, and what is published beside the
maps. `graft` knows no more of them.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from ...runtime.spec import Layer, ScoreRecord, Spec
from ...runtime.spec.detector import Detector
from ..capture.onnx_file import Captured
from ..graph.emitter import Emitter, dims_of
from ..graph.profiles import profile_of
from ..heatmap.gradcam import Target, laid_out, publish
from ..locate.detectors.detection import Detection, LevelFound, image_input
from ..locate.layout import read_target
from ..locate.score import Located
from ..score.box_tables import box_tables
from ..score.boxes import BoxSelection, select_boxes
from ..score.class_scores import RequestInputs, add_request, class_table, scores_table
from ..score.seed import Selection
from .publish_boxes import BOX_METHOD, publish_boxes


class Subject(ABC):
    """What is explained.

    Attributes:
        tables: The scores of each output that is explained.
        table: All of them in one; what is differentiated.
        method: The method of the artifact's heatmaps.
        in_parts: Whether a request follows a part of the graph only, so that the others may rest.
    """

    tables: list[ir.Value]
    table: ir.Value
    method: str
    in_parts: bool

    @abstractmethod
    def select(self, scale: float) -> tuple[RequestInputs, Selection]:
        """Add the inputs of a request, and seed the walk with ``scale`` at what they select."""

    @abstractmethod
    def publish(self, layers: Sequence[Layer]) -> Detector | None:
        """Add what is published beside the layers' tensors; of a detector, return its record."""

    @abstractmethod
    def record(
        self, score: ScoreRecord, table: ir.Value, layers: Sequence[Layer], boxes: Detector | None
    ) -> ScoreRecord:
        """The metadata of the score that a table holds."""


class Classes(Subject):
    """The classes of one or several outputs, or the channels of a layer."""

    method, in_parts = "gradcam", False

    def __init__(self, emit: Emitter, located: Sequence[Located], first: Target) -> None:
        self.emit, self.located = emit, located
        channel = located[0].score.kind == "channel"
        self.tables = [laid_out(emit, first) if channel else class_table(emit, o) for o in located]
        self.table = scores_table(emit, self.tables, located)

    def select(self, scale: float) -> tuple[RequestInputs, Selection]:
        """See `Subject`."""
        scores = [one.score for one in self.located]
        return add_request(self.emit, self.tables, self.table, scores, scale)

    def publish(self, layers: Sequence[Layer]) -> Detector | None:
        """Publish the scores of a bank's texts, which are no output of the model."""
        for one, table in zip(self.located, self.tables, strict=True):
            if one.bank is not None:
                publish(self.emit, table, one.score.output, dims_of(table))
        return None

    def record(
        self, score: ScoreRecord, table: ir.Value, layers: Sequence[Layer], boxes: Detector | None
    ) -> ScoreRecord:
        """See `Subject`; scores are read from an output, or from the layer's activations."""
        if score.kind == "similarity":
            return score  # its value is the embedding
        name = table.name or ""
        if score.similarity is None:
            output = layers[0].activations if score.kind == "channel" else score.output
            return replace(score, value=name, output=output)
        constant = self._bank_of(table)
        return replace(
            score, value=name, output=name, similarity=replace(score.similarity, bank=constant)
        )

    @staticmethod
    def _bank_of(table: ir.Value) -> str:
        """The name of the constant with a bank's vectors."""
        node = table.producer()
        assert node is not None
        assert node.inputs[1] is not None
        return node.inputs[1].name or ""


class Boxes(Subject):
    """The classes and edges of a detector's boxes."""

    method, in_parts = BOX_METHOD, True
    selected: BoxSelection

    def __init__(self, emit: Emitter, detection: Detection, levels: Sequence[LevelFound]) -> None:
        self.emit, self.detection, self.levels = emit, detection, levels
        self.boxed = box_tables(emit, detection, image_input(emit.graph))
        self.table = self.boxed.flat
        self.tables = [self.table]

    def select(self, scale: float) -> tuple[RequestInputs, Selection]:
        """See `Subject`."""
        self.selected = select_boxes(self.emit, self.detection, self.boxed, scale)
        return RequestInputs(self.selected.inputs[0]), self.selected.chosen

    def publish(self, layers: Sequence[Layer]) -> Detector | None:
        """Publish boxes and the levels' common heatmap."""
        return publish_boxes(
            self.emit, self.detection, self.boxed, self.selected, layers, self.levels
        )

    def record(
        self, score: ScoreRecord, table: ir.Value, layers: Sequence[Layer], boxes: Detector | None
    ) -> ScoreRecord:
        """See `Subject`; a runtime reads scores as the detector's record says."""
        assert boxes is not None
        return replace(
            score, value=table.name or "", output=boxes.score_entries[0].output,
            activated=boxes.activated, box_axis=self.boxed.box_axis,
        )  # fmt: skip


def targets_of(captured: Captured) -> list[Target]:
    """The target layers, as they are laid out."""
    graph = captured.model.graph
    return [
        Target(
            layer,
            value,
            captured.arranged.get(layer) or read_target(layer, value, graph).options[0],
        )
        for layer, value in captured.targets.items()
    ]


def add_tables(captured: Captured, located: Sequence[Located], spec: Spec) -> None:
    """Add the tables of scores that an artifact has to the model that it was made from.

    Args:
        captured: The model; its tables get the names that they have in the artifact.
        located: What is explained of it.
        spec: The artifact's metadata.
    """
    emit = Emitter(captured.model.graph, profile_of(spec.profile or "default"))
    tables = subject_of(emit, located, targets_of(captured), ()).tables
    for table, one in zip(tables, spec.by_output(), strict=True):
        table.name = one.score.value


def subject_of(
    emit: Emitter, located: Sequence[Located], targets: Sequence[Target],
    levels: Sequence[LevelFound],
) -> Subject:  # fmt: skip
    """Add the table of what was located.

    Args:
        emit: Where nodes are added.
        located: The score; several to explain several outputs.
        targets: The target layers.
        levels: Those of a detector, in the same order.
    """
    detection = located[0].detection
    if detection is None:
        return Classes(emit, located, targets[0])
    return Boxes(emit, detection, levels)
