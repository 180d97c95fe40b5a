"""Operators that write elements to places given by a table of indices."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..adjoint import Adjoint, Result
from ..emitter import Emitter, dims_of
from .common import (
    indices_ranked,
    int_attribute,
    only_input,
    string_attribute,
    where,
)
from .gathering import indexed_axes, lifted_places
from .registry import Needed, vjp
from .scatter_reductions import Table, by_elements, by_tuples, extreme, product


def _classes_last(emit: Emitter, grad: ir.Value, rank: int) -> ir.Value:
    """``[K, ...]`` of a forward value with ``rank`` axes as ``[..., K]``."""
    return emit.op("Transpose", grad, role="classes_last", perm=[*range(1, rank + 1), 0])


def _classes_first(emit: Emitter, value: ir.Value, rank: int) -> ir.Value:
    """``[..., K]`` as ``[K, ...]``."""
    return emit.op("Transpose", value, role="classes_first", perm=[rank, *range(rank)])


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


def _covered(node: ir.Node) -> str | None:
    if _reduces(node) and node.op_type == "ScatterND":
        return indexed_axes(node)
    return indices_ranked(node)


def _reduces(node: ir.Node) -> bool:
    return string_attribute(node, "reduction", "none") in ("mul", "min", "max")


def _reduced(emit: Emitter, node: ir.Node, table: Table, needed: Needed) -> Sequence[Result]:
    """See `product` and `extreme`."""
    rule = product if string_attribute(node, "reduction", "none") == "mul" else extreme
    return rule(emit, node, table, needed)


def _adds(node: ir.Node) -> bool:
    return string_attribute(node, "reduction", "none") == "add"


@vjp("ScatterElements", since=11, inputs=(0, 2), check=_covered)
def scatter_elements(
    emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed
) -> Sequence[Result]:
    """The cotangent at the updated places for the updates, the rest (all, if added) for the data.

    Without ``reduction`` ONNX leaves open which of two updates of one element is written: both
    get the cotangent then, as in PyTorch. For products and extremes see `product` and `extreme`.
    """
    if _reduces(node):
        return _reduced(emit, node, by_elements(emit, node, grad.value), needed)
    axis = int_attribute(node, "axis", 0) % len(dims_of(only_input(node)))
    data: Result = None
    updates: Result = None
    if needed[0]:
        data = grad if _adds(node) else where(emit, _kept(emit, node, axis), grad.value)
    if needed[2]:
        places = lifted_places(emit, only_input(node, 1))
        updates = emit.op("GatherElements", grad.value, places, role="written", axis=1 + axis)
    return [data, None, updates]


@vjp("ScatterND", since=11, inputs=(0, 2), check=_covered)
def scatter_nd(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """The cotangent at the updated places for the updates, the rest (all, if added) for the data.

    Without ``reduction`` ONNX leaves open which of two updates of one place is written: both get
    the cotangent then. For products and extremes see `product` and `extreme`.
    """
    if _reduces(node):
        return _reduced(emit, node, by_tuples(emit, node, grad.value), needed)
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
