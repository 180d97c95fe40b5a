"""These rules differentiate operators that pick elements by index."""

from __future__ import annotations

import math

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, constant_of, dims_of, parts_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.strided import padded
from ..support.values import (
    cells,
    indices_ranked,
    reshape_like,
    scatter_add,
    shape_of,
    static_extent,
    zeros_like,
)


@vjp("Gather", since=1, inputs=(0,), check=indices_ranked)
def gather(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """Add each cotangent to the place it was taken from; one fixed place is a padding."""
    x, indices = only_input(node, 0), only_input(node, 1)
    dims, count = dims_of(x), len(dims_of(indices))
    axis = node.attributes.get_int("axis", 0) % len(dims)
    extent, fixed = dims[axis], constant_of(indices)
    if fixed is not None and fixed.size == 1 and isinstance(extent, int):
        place = int(fixed.reshape(-1)[0]) % extent
        # The indices' axes, all of extent 1, become one.
        if count == 0:
            g = g.op("Unsqueeze", [1 + axis], role="place")
        elif count > 1:
            g = g.op("Squeeze", range(2 + axis, 1 + axis + count), role="place")
        return [g.through(padded, 1 + len(dims), {1 + axis: (place, extent - 1 - place)})]
    return [g.through(_scatter, x, indices, axis)]


@vjp("Compress", since=9, inputs=(0,))
def compress(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent at the places that the condition chose, zero elsewhere."""
    x, value = only_input(node), g.value
    rank = len(dims_of(x))
    axis, whole = node.attributes.get_int("axis", 0) % rank, "axis" in node.attributes
    chosen = emit.op("NonZero", only_input(node, 1), role="chosen")
    column = [-1, *[1] * (rank - 1 - axis if whole else 0)]
    places = emit.op("Reshape", chosen, column, role="places")
    places = emit.op("Expand", places, emit.op("Shape", value, role="extents"), role="places")
    parts = parts_of(x) if whole else [cells(emit, x)]
    empty = emit.op("Expand", emit.scalar(0.0, value), [emit.classes, *parts], role="zeros")
    added = emit.op("ScatterElements", empty, places, value, axis=1 + axis if whole else 1)
    return [g.with_value(added if whole else reshape_like(emit, added, x))]


def _scatter(emit: Emitter, grad: ir.Value, x: ir.Value, indices: ir.Value, axis: int) -> ir.Value:
    """Sum ``[K, *before, *indices, *after]`` into ``[K, *dims]`` along ``axis``."""
    rank = len(dims_of(x))
    before, after = parts_of(x, range(axis)), parts_of(x, range(axis + 1, rank))
    flat = emit.op("Reshape", indices, [-1, *[1] * (rank - 1 - axis)], role="places")
    count = emit.op("Unsqueeze", emit.op("Size", indices), [0], role="count")
    shape = emit.vector([emit.classes, *before, count, *after])
    updates = emit.op("Reshape", grad, shape, role="updates")
    places = emit.op("Expand", flat, shape, role="places")
    return scatter_add(emit, shape_of(emit, x), places, updates, 1 + axis)


def lifted_places(emit: Emitter, indices: ir.Value) -> ir.Value:
    """A table of indices repeated for each class, ``[K, *dims]``."""
    return emit.op("Expand", indices, [emit.classes, *[1] * len(dims_of(indices))], role="places")


def indexed_axes(node: ir.Node, batched: int = 0) -> str | None:
    """A check: the axes that a table of tuples indexes, behind batch axes, are known."""
    indices = node.inputs[1]
    depth = dims_of(indices)[-1] if indices is not None and indices.shape else None
    if not isinstance(depth, int):
        return "the number of its indexed axes is unknown; write its shape into the model"
    extents = dims_of(only_input(node))[1 + batched : batched + depth]
    if not all(isinstance(extent, int) for extent in extents):
        return "the extents of its indexed axes are unknown; export them as static"
    return None


def _covered(node: ir.Node) -> str | None:
    return indexed_axes(node, node.attributes.get_int("batch_dims", 0))


def flat_places(emit: Emitter, x: ir.Value, indices: ir.Value, batched: int = 0) -> ir.Value:
    """Tuples of indices as places in the indexed axes of ``x`` taken as one, [*batch, M]."""
    axes = range(batched, batched + static_extent(indices, -1))
    sizes = [static_extent(x, axis) for axis in axes[1:]]
    strides = [math.prod(sizes[place:]) for place in range(len(axes))]
    below = emit.op("Less", indices, [0], role="below")
    wrapped = emit.op("Add", indices, emit.extents(x, axes), role="wrapped")
    counted = emit.op("Where", below, wrapped, indices, role="counted")
    weighted = emit.op("Mul", counted, strides, role="weighted")
    flat = emit.op("ReduceSum", weighted, [-1], role="flat", keepdims=0)
    return emit.op("Reshape", flat, [*parts_of(x, range(batched)), -1], role="flat")


@vjp("GatherND", since=11, inputs=(0,), check=_covered)
def gather_nd(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """Add each cotangent to the place it was taken from; places taken twice get both.

    The indexed axes are taken as one, for ScatterElements: ONNX Runtime's ScatterND loses
    additions to one place when several threads make them (seen in 1.31).
    """
    x, indices = only_input(node, 0), only_input(node, 1)
    batched = node.attributes.get_int("batch_dims", 0)
    axes = range(batched, batched + static_extent(indices, -1))
    batch, tail = parts_of(x, range(batched)), parts_of(x, range(axes.stop, len(dims_of(x))))
    places = flat_places(emit, x, indices, batched)
    count = emit.op("Shape", places, role="count", start=batched)
    shape = emit.vector([emit.classes, *batch, count, *tail])
    updates = emit.op("Reshape", g.value, shape, role="updates")
    column = emit.op("Reshape", places, [*batch, -1, *[1] * len(tail)], role="places")
    column = emit.op("Expand", column, shape, role="places")
    cells = emit.op("ReduceProd", emit.extents(x, axes), [0], role="cells")
    whole = emit.vector([emit.classes, *batch, cells, *tail])
    added = scatter_add(emit, whole, column, updates, 1 + batched)
    return [g.with_value(reshape_like(emit, added, x))]


@vjp("GatherElements", since=11, inputs=(0,), check=indices_ranked)
def gather_elements(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """Add each cotangent to the element it was taken from; elements taken twice get both."""
    x = only_input(node)
    axis = node.attributes.get_int("axis", 0) % len(dims_of(x))
    places = lifted_places(emit, only_input(node, 1))
    return [g.with_value(scatter_add(emit, shape_of(emit, x), places, g.value, 1 + axis))]


@vjp("TopK", since=11, inputs=(0,))
def top_k(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """Each value's cotangent at the place that the node took it from; the indices carry none."""
    x = only_input(node)
    axis = node.attributes.get_int("axis", -1) % len(dims_of(x))
    places = lifted_places(emit, node.outputs[1])
    empty = zeros_like(emit, x, g.value)
    return [g.with_value(emit.op("ScatterElements", empty, places, g.value, axis=1 + axis))]
