"""Operators that take elements from, or write them to, places given by a table of indices."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..adjoint import Adjoint, Result
from ..emitter import Emitter, dims_of
from .common import (
    classes,
    int_attribute,
    only_input,
    parts_of,
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


def _no_batch_dims(node: ir.Node) -> str | None:
    count = int_attribute(node, "batch_dims", 0)
    return f"batch_dims={count} has no gradient rule; only batch_dims=0 has" if count else None


def _none_or_add(node: ir.Node) -> str | None:
    mode = string_attribute(node, "reduction", "none")
    if mode not in ("none", "add"):
        return f"reduction={mode!r} has no gradient rule; only 'none' and 'add' have"
    if node.inputs[1] is None or node.inputs[1].shape is None:
        return "the rank of its indices is unknown; run ONNX shape inference"
    return None


def _adds(node: ir.Node) -> bool:
    return string_attribute(node, "reduction", "none") == "add"


@vjp("GatherND", since=11, inputs=(0,), check=_no_batch_dims)
def gather_nd(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """Add each cotangent to the place it was taken from; places taken twice get both.

    The indices know nothing of K, so K goes behind the axes that they run through.
    """
    x, indices, out = only_input(node, 0), only_input(node, 1), node.outputs[0]
    rank = len(dims_of(x))
    updates = _classes_last(emit, grad.value, len(dims_of(out)))
    shape = emit.vector([*parts_of(x), classes(emit)])
    empty = emit.op("Expand", emit.scalar(0.0, grad.value), shape, role="zeros")
    added = emit.op("ScatterND", empty, indices, updates, reduction="add")
    return [_classes_first(emit, added, rank)]


def _ranked(node: ir.Node) -> str | None:
    if node.inputs[1] is None or node.inputs[1].shape is None:
        return "the rank of its indices is unknown; run ONNX shape inference"
    return None


@vjp("GatherElements", since=11, inputs=(0,), check=_ranked)
def gather_elements(
    emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed
) -> Sequence[Result]:
    """Add each cotangent to the element it was taken from; elements taken twice get both."""
    x = only_input(node)
    axis = int_attribute(node, "axis", 0) % len(dims_of(x))
    places = _lifted(emit, only_input(node, 1))
    added = emit.op(
        "ScatterElements",
        zeros_like(emit, x),
        places,
        grad.value,
        axis=1 + axis,
        reduction="add",
    )
    return [added]


@vjp("TopK", since=11, inputs=(0,))
def top_k(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """Each value's cotangent at the place that the node took it from; the indices carry none."""
    x = only_input(node)
    axis = int_attribute(node, "axis", -1) % len(dims_of(x))
    places = _lifted(emit, node.outputs[1])
    return [emit.op("ScatterElements", zeros_like(emit, x), places, grad.value, axis=1 + axis)]


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
