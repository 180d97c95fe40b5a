"""Operators that take elements from, or write them to, places given by a table of indices."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from ..adjoint import Adjoint, Result
from ..emitter import Emitter, dims_of
from .common import (
    classes,
    indices_ranked,
    int_attribute,
    only_input,
    parts_of,
    reshape_like,
    scatter_add,
    shape_of,
    string_attribute,
    where,
    zeros_like,
)
from .registry import Needed, vjp


def _classes_last(emit: Emitter, grad: ir.Value, rank: int) -> ir.Value:
    """``[K, ...]`` of a forward value with ``rank`` axes as ``[..., K]``."""
    return emit.op("Transpose", grad, role="classes_last", perm=[*range(1, rank + 1), 0])


def _classes_first(emit: Emitter, value: ir.Value, rank: int) -> ir.Value:
    """``[..., K]`` as ``[K, ...]``."""
    return emit.op("Transpose", value, role="classes_first", perm=[rank, *range(rank)])


def _lifted(emit: Emitter, indices: ir.Value) -> ir.Value:
    """A table of indices repeated for each class, ``[K, *dims]``."""
    shape = emit.vector([classes(emit), *[1] * len(dims_of(indices))])
    return emit.op("Expand", indices, shape, role="places")


def _kept(emit: Emitter, node: ir.Node, axis: int | None) -> ir.Value:
    """A mask of ``data``'s shape: false where the node writes an update."""
    data, indices, updates = (only_input(node, i) for i in range(3))
    kind = ir.DataType.BOOL
    everything = emit.op(
        "Expand", emit.constant(True), emit.extents(data), role="everything", dtype=kind
    )
    nothing = emit.op(
        "Expand", emit.constant(False), emit.extents(updates), role="nothing", dtype=kind
    )
    if axis is None:
        return emit.op("ScatterND", everything, indices, nothing, role="kept", dtype=kind)
    return emit.op(
        "ScatterElements", everything, indices, nothing, role="kept", dtype=kind, axis=axis
    )


def _flattens(node: ir.Node) -> str | None:
    count = int_attribute(node, "batch_dims", 0)
    if count:
        return f"batch_dims={count} has no gradient rule; only batch_dims=0 has"
    indices = node.inputs[1]
    depth = dims_of(indices)[-1] if indices is not None and indices.shape else None
    if not isinstance(depth, int):
        return "the number of its indexed axes is unknown; write its shape into the model"
    if not all(isinstance(extent, int) for extent in dims_of(only_input(node))[1:depth]):
        return "the extents of its indexed axes are unknown; export them as static"
    return None


def _none_or_add(node: ir.Node) -> str | None:
    mode = string_attribute(node, "reduction", "none")
    if mode not in ("none", "add"):
        return f"reduction={mode!r} has no gradient rule; only 'none' and 'add' have"
    return indices_ranked(node)


def _adds(node: ir.Node) -> bool:
    return string_attribute(node, "reduction", "none") == "add"


@vjp("GatherND", since=11, inputs=(0,), check=_flattens)
def gather_nd(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """Add each cotangent to the place it was taken from; places taken twice get both.

    The indexed axes are taken as one, for ScatterElements: ONNX Runtime's ScatterND loses
    additions to one place when several threads make them (seen in 1.31).
    """
    x, indices = only_input(node, 0), only_input(node, 1)
    depth = dims_of(indices)[-1]
    assert isinstance(depth, int)
    dims = dims_of(x)
    tail = parts_of(x, range(depth, len(dims)))
    places = _flat_places(emit, x, indices, depth)
    count = emit.op("Shape", places, role="count", dtype=ir.DataType.INT64)
    updates = emit.op("Reshape", grad.value, emit.vector([classes(emit), count, *tail]))
    column = emit.op("Reshape", places, emit.ints([-1, *[1] * len(tail)]), role="places")
    column = emit.op("Expand", column, emit.vector([classes(emit), count, *tail]), role="places")
    cells = emit.op("ReduceProd", emit.extents(x, range(depth)), emit.ints([0]), role="cells")
    shape = emit.vector([classes(emit), cells, *tail])
    added = scatter_add(emit, shape, column, updates)
    return [reshape_like(emit, added, x)]


def _flat_places(emit: Emitter, x: ir.Value, indices: ir.Value, depth: int) -> ir.Value:
    """Tuples of indices as places in the first ``depth`` axes of ``x`` taken as one, int64 [M]."""
    inner = [extent for extent in dims_of(x)[1:depth] if isinstance(extent, int)]
    strides = [math.prod(inner[axis:]) for axis in range(depth)]
    below = emit.op("Less", indices, emit.ints([0]), role="below", dtype=ir.DataType.BOOL)
    wrapped = emit.op("Add", indices, emit.extents(x, range(depth)), role="wrapped")
    counted = emit.op("Where", below, wrapped, indices, role="counted", dtype=indices.dtype)
    weighted = emit.op("Mul", counted, emit.ints(strides), role="weighted")
    flat = emit.op("ReduceSum", weighted, emit.ints([-1]), role="flat", keepdims=0)
    return emit.op("Reshape", flat, emit.ints([-1]), role="flat")


@vjp("GatherElements", since=11, inputs=(0,), check=indices_ranked)
def gather_elements(
    emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed
) -> Sequence[Result]:
    """Add each cotangent to the element it was taken from; elements taken twice get both."""
    x = only_input(node)
    axis = int_attribute(node, "axis", 0) % len(dims_of(x))
    places = _lifted(emit, only_input(node, 1))
    return [scatter_add(emit, shape_of(emit, x), places, grad.value, 1 + axis)]


@vjp("TopK", since=11, inputs=(0,))
def top_k(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """Each value's cotangent at the place that the node took it from; the indices carry none."""
    x = only_input(node)
    axis = int_attribute(node, "axis", -1) % len(dims_of(x))
    places = _lifted(emit, node.outputs[1])
    empty = zeros_like(emit, x, grad.value)
    return [emit.op("ScatterElements", empty, places, grad.value, axis=1 + axis)]


@vjp("ScatterElements", since=11, inputs=(0, 2), check=_none_or_add)
def scatter_elements(
    emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed
) -> Sequence[Result]:
    """The cotangent at the updated places for the updates, the rest (all, if added) for the data.

    Without ``reduction`` ONNX leaves open which of two updates of one element is written: both
    get the cotangent then, as in PyTorch.
    """
    axis = int_attribute(node, "axis", 0) % len(dims_of(only_input(node)))
    data: Result = None
    updates: Result = None
    if needed[0]:
        data = grad if _adds(node) else where(emit, _kept(emit, node, axis), grad.value)
    if needed[2]:
        places = _lifted(emit, only_input(node, 1))
        updates = emit.op("GatherElements", grad.value, places, role="written", axis=1 + axis)
    return [data, None, updates]


@vjp("ScatterND", since=11, inputs=(0, 2), check=_none_or_add)
def scatter_nd(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """The cotangent at the updated places for the updates, the rest (all, if added) for the data.

    Without ``reduction`` ONNX leaves open which of two updates of one place is written: both get
    the cotangent then.
    """
    x, updated = only_input(node), only_input(node, 2)
    data: Result = None
    updates: Result = None
    if needed[0]:
        data = grad if _adds(node) else where(emit, _kept(emit, node, None), grad.value)
    if needed[2]:
        last = _classes_last(emit, grad.value, len(dims_of(x)))
        taken = emit.op("GatherND", last, only_input(node, 1), role="written")
        updates = _classes_first(emit, taken, len(dims_of(updated)))
    return [data, None, updates]
