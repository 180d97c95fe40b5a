"""This module locates what is explained of a detector: its boxes' scores, and its layers."""

from __future__ import annotations

from ...runtime.spec import ScoreRecord
from ..locate.detectors.detection import Detection, LevelFound
from ..locate.detectors.levels import head_inputs
from ..locate.detectors.recognise import recognise
from ..locate.score import Located
from ..source.settings import ExportSettings
from .layouts import settle_layouts
from .onnx_file import Captured


def locate_detector(captured: Captured, settings: ExportSettings) -> Located | None:
    """Recognise a detector, unless a score is asked for that only classifiers have.

    Raises:
        ScoreError: There is evidence of a detector, but its format is not known.
    """
    score, wanted = settings.score, settings.detector
    classifier = score.kind != "logit" or score.class_axis is not None or score.class_offset
    if wanted == "off" or classifier:
        return None
    graph = captured.model.graph
    detection = recognise(graph, captured.model.metadata_props, wanted)
    return None if detection is None else _located(detection)


def _located(detection: Detection) -> Located:
    scores = detection.scores[0]
    outputs = detection.score_entries
    record = ScoreRecord(
        "logit", scores.value.name or "", outputs[0].output if outputs else "",
        "none" if detection.objectness else detection.activation, detection.activated,  # type: ignore
        detection.classes,
    )  # fmt: skip
    reason = f"boxes ({detection.format}): {'; '.join(detection.evidence)}"
    return Located(scores.value, record, scores.entry_axis, scores.first, reason, detection)


def choose_levels(captured: Captured, located: Located) -> list[LevelFound]:
    """Make the inputs of the detector's heads the target layers, unless layers are named."""
    assert located.detection is not None
    if captured.targets:
        return [LevelFound(value) for value in captured.targets.values()]
    levels = head_inputs(captured.model.graph, located.detection)
    for level in levels:
        captured.targets[level.value.name or ""] = level.value
    settle_layouts(captured)
    return levels
