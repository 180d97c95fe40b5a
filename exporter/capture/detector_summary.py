"""`summarise_detector` says what a model that predicts boxes is, and which layers explain it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ..errors import ScoreError, errors_of_model
from ..graph.emitter import Dim, dims_of
from ..locate.detectors.detection import Corners, Detection, Distances, LevelFound
from ..locate.score import Located
from ..source.settings import ExportSettings
from .detectors import choose_levels, locate_detector, may_be_detector
from .module_detector import locate_module_detector
from .onnx_file import Captured, capture_file
from .torchscript import file_of_script

if TYPE_CHECKING:
    from .model import Model


@dataclass(frozen=True)
class DetectorSummary:
    """What `graftcam layers` shows of a detector.

    Attributes:
        format: See `runtime.spec.detector.Detector`.
        task: Likewise.
        classes: Number of classes.
        names: Their names, if the model has them.
        boxes: What its boxes are, in words.
        evidence: What showed it.
        notes: What users should know.
        levels: Name and shape of each target layer, and the number of its boxes, if known.
    """

    format: str
    task: str
    classes: int
    names: Sequence[str] | None
    boxes: str
    evidence: Sequence[str]
    notes: Sequence[str]
    levels: Sequence[tuple[str, list[Dim], int | None]]


def summarise_detector(
    model: Model,
    example_inputs: Sequence[Any] | Mapping[str, Any] | None,
    settings: ExportSettings,
    shapes: Mapping[str, Sequence[int | None]] | None = None,
) -> tuple[DetectorSummary | None, Sequence[str]]:
    """Recognise a detector, and choose its layers as `export` does.

    Args:
        model: As for `export`.
        example_inputs: Inputs of the module's ``forward``.
        settings: What is asked of it.
        shapes: Extents of an ONNX file's open axes by input.

    Returns:
        The detector, or None for any other model; and what users should know.

    Raises:
        GraftcamError: The model cannot be read, or its format is not known.
    """
    if not may_be_detector(settings):
        return None, ()
    with errors_of_model(model), file_of_script(model, example_inputs, None) as script:
        file = script or model
        if isinstance(file, (str, Path)):
            return _of_file(Path(file), settings, shapes)
        found = locate_module_detector(model, example_inputs, settings)
    if found is None:
        if settings.detector is not None:
            raise ScoreError(
                f"this model shows no detector of format {settings.detector!r}: a forward pass "
                "returns no tables of boxes; leave detector (--detector) out"
            )
        return None, ()
    names = found.layers or [level.value.name or "" for level in found.levels]
    summary = _summary(found.captured, found.located, found.levels, names, settings)
    return summary, summary.notes


def _of_file(
    path: Path, settings: ExportSettings, shapes: Mapping[str, Sequence[int | None]] | None
) -> tuple[DetectorSummary | None, Sequence[str]]:
    if not path.is_file() or path.suffix != ".onnx":
        return None, ()  # the list of layers says so, in its own words
    captured = capture_file(path, settings.layers or [], shapes)
    located = locate_detector(captured, settings)
    if located is None:
        return None, captured.notes
    levels = choose_levels(captured, located, context=settings.context)
    names = [level.value.name or "" for level in levels]
    summary = _summary(captured, located, levels, names, settings)
    return summary, summary.notes


def _summary(
    captured: Captured,
    located: Located,
    levels: Sequence[LevelFound],
    layers: Sequence[str],
    settings: ExportSettings,
) -> DetectorSummary:
    found = located.detection
    assert found is not None
    names = settings.labels_of()[0] or found.names
    return DetectorSummary(
        found.format, found.task, found.classes, names, _words(found), found.evidence,
        list(dict.fromkeys(captured.notes)),
        [
            (name, dims_of(level.value), level.count)
            for name, level in zip(layers, levels, strict=True)
        ],
    )  # fmt: skip


def _words(found: Detection) -> str:
    """What the four numbers of a box are."""
    boxes = found.boxes
    if not isinstance(boxes, Corners):
        return "distances to the edges" if isinstance(boxes, Distances) else "sizes at centres"
    corners = "left, top, right, bottom" if boxes.layout == "xyxy" else "centre, width, height"
    units = "in pixels" if boxes.units == "pixels" else "as shares of the input's sides"
    return f"{corners} {units}"
