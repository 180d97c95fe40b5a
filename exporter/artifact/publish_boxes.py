"""This module adds the outputs of a detector's artifact, and records how boxes are read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from ...runtime.spec import Layer
from ...runtime.spec.detector import EDGES, BoxEntries, Detector, Level
from ..graph.emitter import Emitter, dims_of, parts_of
from ..graph.precision import SINGLE
from ..heatmap.gradcam import publish
from ..locate.detectors.detection import Corners, Detection, LevelFound, image_input
from ..score.box_tables import BoxTables, probabilities
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

    Where the model's own outputs hold no decoded boxes with the scores of all classes,
    ``all_boxes`` and ``all_scores`` are added too.

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
    record = Detector(
        detection.format, detection.task, selected.inputs[1].name or "",
        selected.inputs[2].name or "", boxes, heatmap, list(detection.box_entries),
        list(detection.score_entries), "xyxy", "pixels", detection.activated,
        [_level(layer, level, image) for layer, level in zip(layers, levels, strict=True)],
        list(detection.evidence), detection.final, list(detection.class_entries) or None,
        list(detection.objectness_entries) or None, detection.no_object or None, anchors,
    )  # fmt: skip
    if isinstance(detection.boxes, Corners) and detection.box_entries:
        return replace(record, box_layout=detection.boxes.layout, box_units=detection.boxes.units)
    return _with_tables(emit, record, detection, tables)


def _with_tables(
    emit: Emitter, record: Detector, detection: Detection, tables: BoxTables
) -> Detector:
    """Add outputs of all boxes and probabilities, and let the record read those."""
    scores = probabilities(emit, detection, tables)
    edges = emit.cast(tables.edges, SINGLE, "all_boxes")
    outputs = [
        publish(emit, edges, "all_boxes", dims_of(edges)),
        publish(emit, scores, "all_scores", dims_of(scores)),
    ]
    return replace(
        record,
        box_entries=[BoxEntries(outputs[0], 1, 0, EDGES)],
        score_entries=[BoxEntries(outputs[1], 1, 0, detection.classes)],
        activated=True,
        class_entries=None,
        objectness_entries=None,
        no_object=None,
        tables=outputs,
    )


def _level(layer: Layer, level: LevelFound, image: ir.Value) -> Level:
    """The record of a level; without a trial its stride follows from the grid, if that is fixed."""
    stride = list(level.stride or ()) or [
        side / cells
        for side, cells in zip(dims_of(image)[2:], layer.grid, strict=False)
        if isinstance(side, int) and cells
    ]
    return Level(layer.name, level.first, level.count, stride)
