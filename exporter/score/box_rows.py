"""This module lays the entries of boxes out as rows or columns of one table, as nodes."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..graph.emitter import Dim, Emitter, dims_of
from ..locate.detectors.detection import Entries
from ..locate.detectors.tables.take_entries import cut


def joined(emit: Emitter, levels: Sequence[Entries], axis: int) -> ir.Value:
    """The entries of all levels, the boxes along ``axis``."""
    found = [rows(emit, one, axis) for one in levels]
    if len(found) == 1:
        return found[0]
    extents = [dims_of(value)[axis] for value in found]
    known = [extent for extent in extents if isinstance(extent, int)]
    total: Dim = sum(known) if len(known) == len(extents) else "boxes"
    shape = replaced(dims_of(found[0]), axis, total)
    return emit.op("Concat", *found, role="levels", axis=axis, shape=shape)


def rows(emit: Emitter, entries: Entries, axis: int) -> ir.Value:
    """Entries of one value as rank 3, the boxes along ``axis``."""
    if len(dims_of(entries.value)) == 4:
        return _of_map(emit, entries, axis)
    value = cut(emit, entries.value, entries.entry_axis, entries.first, entries.count)
    return value if entries.box_axis == axis else turned(emit, value)


def _of_map(emit: Emitter, entries: Entries, axis: int) -> ir.Value:
    """Entries of a map [N, anchors * entries, h, w]; boxes by row, column and anchor."""
    value, anchors, count = entries.value, entries.anchors, entries.count
    batch, channels, height, width = dims_of(value)
    assert isinstance(channels, int)
    places = height * width if isinstance(height, int) and isinstance(width, int) else None
    each = channels // anchors
    whole = emit.op(
        "Reshape", value, [(value, 0), anchors, each, -1], role="places",
        shape=[batch, anchors, each, places],
    )  # fmt: skip
    own = cut(emit, whole, 2, entries.first, count)
    perm = [0, 3, 1, 2] if axis == 1 else [0, 2, 3, 1]
    sides: list[Dim] = [batch, anchors, count, places]
    if anchors > 1:
        own = emit.op("Transpose", own, role="turned", perm=perm, shape=[sides[i] for i in perm])
    boxes: Dim = None if places is None else places * anchors
    if anchors > 1 and axis == 1:
        target, shape = [-1, count], [batch, boxes, count]
    else:
        target, shape = [count, -1], [batch, count, boxes]
    table = emit.op("Reshape", own, [(value, 0), *target], role="boxes", shape=shape)
    return table if axis == 2 or anchors > 1 else turned(emit, table)


def turned(emit: Emitter, value: ir.Value) -> ir.Value:
    """Rows and columns exchanged."""
    batch, one, other = dims_of(value)
    return emit.op("Transpose", value, role="turned", perm=[0, 2, 1], shape=[batch, other, one])


def replaced(dims: Sequence[Dim], axis: int, extent: Dim) -> list[Dim]:
    """A shape with another extent along one axis."""
    return [extent if place == axis else dim for place, dim in enumerate(dims)]
