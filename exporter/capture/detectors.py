"""This module locates what is explained of a detector: its boxes' scores, and its layers."""

from __future__ import annotations

import onnx_ir as ir

from ...runtime.spec import ScoreRecord
from ..graph.emitter import dims_of
from ..graph.trial_shapes import trial_shapes
from ..locate.detectors.backbone import backbone_layers
from ..locate.detectors.detection import Detection, LevelFound, image_input
from ..locate.detectors.levels import head_inputs, named_levels
from ..locate.detectors.maps import ImageMaps
from ..locate.detectors.recognise import recognise
from ..locate.score import Located
from ..source.settings import ExportSettings
from .layouts import settle_layouts
from .model import choose_layer
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
    if detection is None:
        return None
    captured.notes.extend([*detection.notes, *_of_batch(graph)])
    return _located(detection)


def _of_batch(graph: ir.Graph) -> list[str]:
    """A hint, where a file takes several images at once, which detectors are rarely meant to."""
    image = image_input(graph)
    batch, *sides = dims_of(image)
    if not isinstance(batch, int) or batch < 2:
        return []
    extents = "x".join(map(str, sides))
    return [
        f"input {image.name!r} takes {batch} images of {extents} at once, as the file says; "
        "--shape 1x3x480x640 (batch, channels, height, width) makes it take another size"
    ]


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


def choose_levels(
    captured: Captured, located: Located, *, context: bool | None = None
) -> list[LevelFound]:
    """Make the inputs of the detector's heads the target layers, unless layers are named.

    Args:
        captured: Gets the targets.
        located: What was recognised.
        context: Take the backbone's layers instead.

    Raises:
        LayerError: A named layer has no places, or none can be chosen.
    """
    assert located.detection is not None
    model, image = captured.model, image_input(captured.model.graph)
    maps = ImageMaps(model.graph, image, trial_shapes(model, image, captured.folder))
    levels = head_inputs(maps, located.detection)
    if captured.targets:
        return named_levels(maps, levels, list(captured.targets.values()))
    if context:
        levels = backbone_layers(maps, levels)
    if not levels:  # such as DETR, whose queries look at the tokens of one map
        choose_layer(captured, [located])
        return named_levels(maps, [], list(captured.targets.values()))
    for level in levels:
        captured.targets[level.value.name or ""] = level.value
    settle_layouts(captured)
    return levels
