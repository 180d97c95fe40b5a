"""Operators that pick elements by index."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..adjoint import Adjoint, Result
from ..emitter import Emitter, constant_of, dims_of
from .common import (
    cells,
    classes,
    indices_ranked,
    int_attribute,
    only_input,
    parts_of,
    reshape_like,
    scatter_add,
    shape_of,
)
from .registry import Needed, vjp
from .strided import padded


@vjp("Gather", since=1, inputs=(0,), check=indices_ranked)
def gather(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """Add each cotangent to the place it was taken from; one fixed place is a padding."""
    x, indices = only_input(node, 0), only_input(node, 1)
    dims, count = dims_of(x), len(dims_of(indices))
    axis = int_attribute(node, "axis", 0) % len(dims)
    extent, fixed = dims[axis], constant_of(indices)
    if fixed is not None and fixed.size == 1 and isinstance(extent, int):
        place = int(fixed.reshape(-1)[0]) % extent
        value = _one_place(emit, grad.value, axis, count)
        return [padded(emit, value, 1 + len(dims), {1 + axis: (place, extent - 1 - place)})]
    return [_scatter(emit, grad.value, x, indices, axis)]


@vjp("Compress", since=9, inputs=(0,))
def compress(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """The cotangent at the places that the condition chose, zero elsewhere."""
    x, value = only_input(node), grad.value
    rank = len(dims_of(x))
    axis, whole = int_attribute(node, "axis", 0) % rank, "axis" in node.attributes
    chosen = emit.op("NonZero", only_input(node, 1), role="chosen", dtype=ir.DataType.INT64)
    column = emit.ints([-1, *[1] * (rank - 1 - axis if whole else 0)])
    places = emit.op("Reshape", chosen, column, role="places")
    extents = emit.op("Shape", value, role="extents", dtype=ir.DataType.INT64)
    places = emit.op("Expand", places, extents, role="places")
    parts = parts_of(x) if whole else [cells(emit, x)]
    shape = emit.vector([classes(emit), *parts])
    empty = emit.op("Expand", emit.scalar(0.0, value), shape, role="zeros")
    added = emit.op("ScatterElements", empty, places, value, axis=1 + axis if whole else 1)
    return [added if whole else reshape_like(emit, added, x)]


def _one_place(emit: Emitter, grad: ir.Value, axis: int, count: int) -> ir.Value:
    """Cotangent with the indices' ``count`` axes (all of extent 1) made one."""
    if count == 0:
        return emit.op("Unsqueeze", grad, emit.ints([1 + axis]), role="place")
    if count == 1:
        return grad
    return emit.op("Squeeze", grad, emit.ints(range(2 + axis, 1 + axis + count)), role="place")


def _scatter(emit: Emitter, grad: ir.Value, x: ir.Value, indices: ir.Value, axis: int) -> ir.Value:
    """Sum ``[K, *before, *indices, *after]`` into ``[K, *dims]`` along ``axis``."""
    rank = len(dims_of(x))
    before, after = parts_of(x, range(axis)), parts_of(x, range(axis + 1, rank))
    flat = emit.op("Reshape", indices, emit.ints([-1, *[1] * (rank - 1 - axis)]), role="places")
    count = emit.op("Size", indices, dtype=ir.DataType.INT64)
    count = emit.op("Unsqueeze", count, emit.ints([0]), role="count")
    shape = emit.vector([classes(emit), *before, count, *after])
    updates = emit.op("Reshape", grad, shape, role="updates")
    places = emit.op("Expand", flat, shape, role="places")
    return scatter_add(emit, shape_of(emit, x), places, updates, 1 + axis)
