"""This module locates what is explained of a detector: its boxes' scores, and its layers."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from ...runtime.spec import ScoreRecord
from ..errors import LayerError, ScoreError
from ..graph.emitter import dims_of
from ..graph.trial_shapes import trial_shapes
from ..locate.detectors.detection import Detection, LevelFound, image_input
from ..locate.detectors.family import family_transform
from ..locate.detectors.file_facts import read_facts
from ..locate.detectors.layers.backbone import backbone_layers
from ..locate.detectors.layers.head_inputs import head_inputs, named_levels
from ..locate.detectors.layers.image_maps import ImageMaps
from ..locate.detectors.layers.token_layer import is_passed_by
from ..locate.detectors.recognise import doubts, recognise
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
    graph = captured.model.graph
    labels = len(settings.labels) if settings.labels else None
    activation = settings.score.activation
    detection = recognise(captured.model, captured.folder, only, labels, activation)
    if detection is None:
        captured.notes.extend(doubts(captured.model, labels))
        return None
    captured.notes.extend([*detection.notes, *_of_batch(graph)])
    family = family_transform(graph, read_facts(captured.model.metadata_props))
    if settings.preprocess is None and family is not None:
        transform, note = family
        detection = replace(detection, transform=transform)
        captured.notes.append(note)
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
    if captured.levels:
        return list(captured.levels)
    model, image = captured.model, image_input(captured.model.graph)
    maps = ImageMaps(model.graph, image, trial_shapes(model, image, captured.folder))
    levels = head_inputs(maps, located.detection)
    if captured.targets:
        return named_levels(maps, levels, list(captured.targets.values()))
    if context:
        levels = backbone_layers(maps, levels)
    # Without levels, such as DETR, queries look at the tokens of one map.
    levels = levels or _of_tokens(captured, located.detection)
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
    image = image_input(graph)
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
