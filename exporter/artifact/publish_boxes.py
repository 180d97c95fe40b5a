"""This module adds the outputs of a detector's artifact, and records how boxes are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...runtime.detector import EDGES, BoxEntries, BoxLayout, BoxUnits, Detector, Level
from ...runtime.spec import Layer
from ..graph.emitter import Dim, Emitter, dims_of, parts_of
from ..graph.precision import SINGLE
from ..heatmap.gradcam import publish
from ..locate.detectors.detection import Corners, Detection, LevelFound, image_input
from ..score.box_rows import turned
from ..score.box_tables import BoxTables
from ..score.boxes import BoxSelection

BOX_METHOD = "hirescam"
"""The method of a detector's maps: Grad-CAM's mean over all places is nearly zero at its heads."""


def publish_boxes(
    emit: Emitter,
    detection: Detection,
    tables: BoxTables,
    selected: BoxSelection,
    layers: Sequence[Layer],
    levels: Sequence[LevelFound],
) -> Detector:
    """Add ``boxes``, the levels' common ``heatmap`` and, of slots, ``anchors``.

    Args:
        emit: Where nodes are added.
        detection: What was recognised.
        tables: From `box_tables`.
        selected: From `select_boxes`.
        layers: The published layers.
        levels: What is known of them, in the same order.
    """
    graph, image = emit.graph, image_input(emit.graph)
    outputs = {value.name: value for value in graph.outputs}
    maps = [outputs[layer.heatmap] for layer in layers]
    batch = dims_of(selected.boxes)[0] if selected.boxes.shape is not None else dims_of(image)[0]
    single = emit.cast(selected.boxes, SINGLE, "boxes")
    boxes = publish(emit, single, "boxes", [batch, "K", EDGES])
    anchors = None
    if selected.anchors is not None:
        anchors = publish(emit, selected.anchors, "anchors", [batch, "K"])
    heatmap = layers[0].heatmap
    if len(layers) > 1:
        whole = maps[0]
        for other in maps[1:]:
            size = [*parts_of(maps[0], [0]), emit.classes, *parts_of(maps[0], [2, 3])]
            scaled = emit.op("Resize", other, None, None, size, role="resized", mode="linear")
            whole = emit.op("Add", whole, scaled, role="levels")
        heatmap = publish(emit, whole, "heatmap", dims_of(maps[0]))
    found = _outputs(emit, detection, tables, batch)
    return Detector(
        detection.format, detection.task, selected.inputs[1].name or "",
        selected.inputs[2].name or "", boxes, heatmap, found.boxes, found.scores, found.layout,
        found.units, found.activated,
        [_level(layer, level, image) for layer, level in zip(layers, levels, strict=True)],
        list(detection.evidence), detection.final, list(detection.class_entries) or None,
        found.objectness, detection.no_object or None, anchors,
    )  # fmt: skip


@dataclass(frozen=True)
class _Outputs:
    """Where the outputs hold all boxes and scores; fields are those of `Detector`."""

    boxes: list[BoxEntries]
    scores: list[BoxEntries]
    layout: BoxLayout
    units: BoxUnits
    activated: bool
    objectness: list[BoxEntries] | None


def _outputs(emit: Emitter, detection: Detection, tables: BoxTables, batch: Dim) -> _Outputs:
    """The model's own outputs; where none holds decoded boxes, ``all_boxes`` and ``all_scores``."""
    corners = detection.boxes
    if isinstance(corners, Corners) and detection.box_entries:
        return _Outputs(
            list(detection.box_entries), list(detection.score_entries), corners.layout,
            corners.units, detection.activated, list(detection.objectness_entries) or None,
        )  # fmt: skip
    count, classes = dims_of(tables.edges)[1], detection.classes
    edges = publish(emit, emit.cast(tables.edges, SINGLE), "all_boxes", [batch, count, EDGES])
    probable = _probabilities(emit, detection, tables)
    scores = publish(emit, probable, "all_scores", [batch, count, classes])
    return _Outputs(
        [BoxEntries(edges, 1, 0, EDGES)], [BoxEntries(scores, 1, 0, classes)],
        "xyxy", "pixels", True, None,
    )  # fmt: skip


def _probabilities(emit: Emitter, detection: Detection, tables: BoxTables) -> ir.Value:
    """Probabilities of all boxes, [N, boxes, classes]."""
    scores = tables.scores if tables.box_axis == 1 else turned(emit, tables.scores)
    shape = dims_of(scores)
    if detection.objectness:  # scores are logarithms of products of probabilities
        return emit.op("Exp", scores, role="all_scores", shape=shape)
    if detection.activation == "softmax":
        return emit.op("Softmax", scores, role="all_scores", axis=2, shape=shape)
    return emit.op("Sigmoid", scores, role="all_scores", shape=shape)


def _level(layer: Layer, level: LevelFound, image: ir.Value) -> Level:
    """The record of a level; without a trial its stride follows from the grid, if that is fixed."""
    stride = list(level.stride or ()) or [
        side / cells
        for side, cells in zip(dims_of(image)[2:], layer.grid, strict=False)
        if isinstance(side, int) and cells
    ]
    return Level(layer.name, level.first, level.count, stride)
