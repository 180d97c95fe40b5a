"""This module locates what is explained of a detector: its boxes' scores, and its layers."""

from __future__ import annotations

from ...runtime.spec import ScoreRecord
from ..errors import LayerError, ScoreError
from ..graph.emitter import dims_of
from ..locate.detectors.detection import Detection, LevelFound
from ..locate.detectors.levels import head_inputs
from ..locate.detectors.recognise import recognise
from ..locate.detectors.token_layer import is_passed_by
from ..locate.layer import find_layer
from ..locate.onnx_candidates import graph_candidates
from ..locate.score import Located
from ..source.settings import ExportSettings
from .layouts import choose_shown, settle_layouts
from .onnx_file import Captured


def locate_detector(captured: Captured, settings: ExportSettings) -> Located | None:
    """Recognise a detector, unless a score is asked for that only classifiers have.

    Raises:
        ScoreError: There is evidence of a detector, but its format is not known.
    """
    wanted = settings.detector
    if not may_be_detector(settings):
        return None
    if wanted == "before_nms" and captured.module is None:
        raise ScoreError(
            "detector='before_nms' (--detector before_nms) takes the suppression of boxes off a "
            "PyTorch module; leave it out for an ONNX file"
        )
    only = None if wanted in ("before_nms", "off") else wanted
    labels = len(settings.labels) if settings.labels else None
    activation = settings.score.activation
    detection = recognise(captured.model, captured.folder, only, labels, activation)
    return None if detection is None else _located(detection)


def may_be_detector(settings: ExportSettings) -> bool:
    """Whether nothing is asked for that only classifiers have."""
    score = settings.score
    classifier = score.kind != "logit" or score.class_axis is not None or score.class_offset
    return not (settings.detector == "off" or classifier)


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
    if captured.levels:
        return list(captured.levels)
    if captured.targets:
        return [LevelFound(value) for value in captured.targets.values()]
    if located.detection.format == "queries":
        levels = _of_tokens(captured, located.detection)
    else:
        levels = head_inputs(captured.model.graph, located.detection)
    for level in levels:
        captured.targets[level.value.name or ""] = level.value
    settle_layouts(captured)
    return levels


def _of_tokens(captured: Captured, detection: Detection) -> list[LevelFound]:
    """The last layer with places that all queries look through.

    Raises:
        LayerError: There is none.
    """
    graph, scores = captured.model.graph, detection.scores[0].value
    image = next(
        value for value in graph.inputs if value.shape is not None and len(value.shape) == 4
    )
    rows = dims_of(scores)[detection.scores[0].box_axis]
    found = [
        one for one in graph_candidates(graph, scores)
        # As many tokens as there are queries: these are no places, whatever grid they would fit.
        if one.usable and not (len(one.shape) == 3 and one.shape[1] == rows)
        and not is_passed_by(find_layer(graph, one.name), detection.leaves, image)
    ]  # fmt: skip
    best = next(iter(choose_shown(captured, found)), None)
    if best is None or not best.usable:
        raise LayerError("no layer with places lies before all queries; name one with `layers`")
    return [LevelFound(find_layer(graph, best.name))]
