"""This module decodes boxes to edges: left, top, right and bottom in pixels, as nodes."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...runtime.spec.detector import EDGES
from ..graph.emitter import Dim, Emitter, dims_of, parts_of
from ..graph.precision import SINGLE
from ..locate.detectors.detection import Centres, Corners, Detection, Distances, Entries
from .box_rows import joined, rows

# Left, top, right and bottom from centre x, centre y, width and height, by column.
_TO_EDGES = np.array([[1, 0, 1, 0], [0, 1, 0, 1], [-0.5, 0, 0.5, 0], [0, -0.5, 0, 0.5]], np.float32)
# Rows and columns of a value with the vertical number first, by column.
_TURNED = np.array([[0, 1], [1, 0]], np.float32)


def edges_of(emit: Emitter, detection: Detection, image: ir.Value) -> ir.Value:
    """Left, top, right and bottom of all boxes in pixels of the model's input, [N, boxes, 4]."""
    boxes = detection.boxes
    if isinstance(boxes, Corners):
        return _of_corners(emit, boxes, image)
    if isinstance(boxes, Centres):
        return _of_centres(emit, boxes)
    return _of_distances(emit, boxes)


def _of_corners(emit: Emitter, boxes: Corners, image: ir.Value) -> ir.Value:
    numbers = joined(emit, boxes.entries, 1)
    numbers = emit.cast(numbers, SINGLE, "boxes")
    if boxes.layout == "cxcywh":
        numbers = _around(emit, numbers)
    if boxes.units == "pixels":
        return numbers
    sides = emit.vector([(image, 3), (image, 2), (image, 3), (image, 2)])
    scale = emit.op("Cast", sides, role="size", shape=[EDGES], to=int(SINGLE))
    return emit.op("Mul", numbers, scale, role="edges", shape=dims_of(numbers))


def _around(emit: Emitter, numbers: ir.Value) -> ir.Value:
    """Edges from centre x, centre y, width and height."""
    matrix = emit.constant(_TO_EDGES)
    return emit.op("MatMul", numbers, matrix, role="edges", shape=dims_of(numbers))


def _of_distances(emit: Emitter, boxes: Distances) -> ir.Value:
    """Every level's numbers, measured from its places."""
    found: list[ir.Value] = []
    for level, (entries, stride) in enumerate(zip(boxes.entries, boxes.strides, strict=True)):
        grid = None if boxes.grids is None else boxes.grids[level]
        numbers = emit.cast(rows(emit, entries, 1), SINGLE, "distances")
        if boxes.bins > 1:
            numbers = _expected(emit, numbers, boxes.bins)
        places = _places(emit, entries, grid, stride, boxes.offset)
        unit = stride if boxes.in_strides else 1
        if boxes.form == "edges":
            signs = emit.constant(np.array([-unit, -unit, unit, unit], np.float32))
            away = emit.op("Mul", numbers, signs, role="away", shape=dims_of(numbers))
            whole = [dims_of(places)[0], EDGES]
            twice = emit.op("Concat", places, places, role="places", axis=1, shape=whole)
            found.append(emit.op("Add", away, twice, role="edges", shape=dims_of(away)))
        else:
            found.append(_around(emit, _from_logarithms(emit, numbers, places, unit)))
    if len(found) == 1:
        return found[0]
    extents = [dims_of(one)[1] for one in found]
    known = [extent for extent in extents if isinstance(extent, int)]
    total: Dim = sum(known) if len(known) == len(extents) else "boxes"
    shape = [dims_of(found[0])[0], total, EDGES]
    return emit.op("Concat", *found, role="edges", axis=1, shape=shape)


def _expected(emit: Emitter, logits: ir.Value, bins: int) -> ir.Value:
    """The mean of each number's distribution over 0, 1, 2, ...; [N, boxes, 4]."""
    batch, boxes, _ = dims_of(logits)
    apart = emit.op(
        "Reshape", logits, [(logits, 0), -1, EDGES, bins], role="bins",
        shape=[batch, boxes, EDGES, bins],
    )  # fmt: skip
    share = emit.op("Softmax", apart, role="distribution", axis=3, shape=dims_of(apart))
    numbers = emit.constant(np.arange(bins, dtype=np.float32)[:, None])
    mean = emit.op("MatMul", share, numbers, role="mean", shape=[batch, boxes, EDGES, 1])
    shape: list[Dim] = [batch, boxes, EDGES]
    return emit.op("Reshape", mean, [(logits, 0), -1, EDGES], role="distances", shape=shape)


def _from_logarithms(emit: Emitter, numbers: ir.Value, places: ir.Value, unit: int) -> ir.Value:
    """Centre, width and height in pixels, from offsets and logarithms."""
    batch, boxes, _ = dims_of(numbers)
    half: list[Dim] = [batch, boxes, 2]
    offset = emit.op("Slice", numbers, [0], [2], [2], role="offsets", shape=half)
    sizes = emit.op("Slice", numbers, [2], [4], [2], role="sizes", shape=half)
    offset = emit.op("Mul", offset, float(unit), role="offsets", shape=half)
    centre = emit.op("Add", offset, places, role="centres", shape=half)
    sizes = emit.op("Mul", emit.op("Exp", sizes, shape=half), float(unit), role="sizes", shape=half)
    shape = [batch, boxes, EDGES]
    return emit.op("Concat", centre, sizes, role="boxes", axis=2, shape=shape)


def _of_centres(emit: Emitter, boxes: Centres) -> ir.Value:
    """Boxes around the places of a heat map."""
    of_sizes = Entries(boxes.sizes, 1, 0, 2)
    sizes = emit.cast(rows(emit, of_sizes, 1), SINGLE, "sizes")
    half = dims_of(sizes)
    if boxes.exponential:
        sizes = emit.op("Exp", sizes, role="sizes", shape=half)
    centres = _places(emit, of_sizes, None, boxes.stride, boxes.offset)
    sizes = emit.op("Mul", sizes, float(boxes.stride), role="sizes", shape=half)
    if boxes.offsets is not None:
        given = emit.cast(rows(emit, Entries(boxes.offsets, 1, 0, 2), 1), SINGLE, "offsets")
        moved = emit.op("Mul", given, float(boxes.stride), role="offsets", shape=half)
        if boxes.vertical_first:
            moved = emit.op("MatMul", moved, emit.constant(_TURNED), role="offsets", shape=half)
        centres = emit.op("Add", moved, centres, role="centres", shape=half)
    else:
        zeros = emit.op("Mul", sizes, 0.0, role="none", shape=half)
        centres = emit.op("Add", zeros, centres, role="centres", shape=half)
    if boxes.vertical_first:
        sizes = emit.op("MatMul", sizes, emit.constant(_TURNED), role="sizes", shape=half)
    both = emit.op(
        "Concat", centres, sizes, role="boxes", axis=2, shape=[*half[:2], EDGES]
    )  # fmt: skip
    return _around(emit, both)


def _places(
    emit: Emitter, entries: Entries, grid: tuple[int, int] | None, stride: int, offset: float
) -> ir.Value:
    """The (x, y) of every box's place in pixels, [boxes of the level, 2]."""
    dims = list(grid) if grid is not None else dims_of(entries.value)[2:]
    if all(isinstance(dim, int) for dim in dims):
        x, y = np.meshgrid(*(np.arange(int(str(dim)), dtype=np.float32) for dim in reversed(dims)))
        places = (np.stack([x, y], axis=-1).reshape(-1, 2) + np.float32(offset)) * stride
        return emit.constant(np.repeat(places, entries.anchors, axis=0).astype(np.float32))
    height, width = parts_of(entries.value, [2, 3])
    rows_, columns = (_steps(emit, entries.value, axis, stride, offset) for axis in (2, 3))
    shape = emit.vector([height, width, entries.anchors, 1])
    down = emit.op("Reshape", rows_, [-1, 1, 1, 1], role="rows", shape=[None, 1, 1, 1])
    across = emit.op("Reshape", columns, [1, -1, 1, 1], role="columns", shape=[1, None, 1, 1])
    whole: list[Dim] = [None, None, entries.anchors, 1]
    pair = [emit.op("Expand", one, shape, role="grid", shape=whole) for one in (across, down)]
    both = emit.op("Concat", *pair, role="grid", axis=3, shape=[*whole[:3], 2])
    return emit.op("Reshape", both, [-1, 2], role="places", shape=[None, 2])


def _steps(emit: Emitter, value: ir.Value, axis: int, stride: int, offset: float) -> ir.Value:
    """The pixels of rows or columns of places, of an extent known at run time."""
    extent = emit.op("Squeeze", emit.extents(value, [axis]), role="extent", shape=[])
    numbers = emit.op("Range", 0, extent, 1, role="numbers", shape=[None])
    single = emit.op("Cast", numbers, role="numbers", shape=[None], to=int(SINGLE))
    moved = emit.op("Add", single, offset, role="numbers", shape=[None])
    return emit.op("Mul", moved, float(stride), role="pixels", shape=[None])
