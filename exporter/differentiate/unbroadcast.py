"""`unbroadcast` sums a cotangent over the axes that an operand was broadcast along.

An operand is broadcast where it has extent 1, or no axis, and the output has more. Where its extent
is known at run time only, the sum is decided at run time. PyTorch's exporter gives equal extents
equal names, and axes of equal names are not broadcast.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from ..graph.emitter import Dim, Emitter, dims_of
from .cotangent import Cotangent


def unbroadcast(cotangent: Cotangent, node: ir.Node, source: ir.Value) -> Cotangent:
    """Sum a cotangent in the shape of a node's output down to that of its operand ``source``."""
    emit, out = cotangent.emit, cotangent.forward
    out_dims, dims = dims_of(out), dims_of(source)
    summed = broadcast_axes(out_dims, dims)
    unsure = open_axes(out_dims, dims, _partners_of(node, source))
    if not summed and not unsure:
        return replace(cotangent, forward=source)
    lead = len(out_dims) - len(dims)
    factor, value, spread = cotangent.factor, cotangent.value, cotangent.spread
    for axis in spread.intersection(summed):
        extent = out_dims[axis]
        if isinstance(extent, int):
            factor *= extent
        else:
            value = _counted(emit, value, emit.extents(out, [axis]))
    for axis in spread.intersection(unsure):
        alone = _alone(emit, source, [axis - lead])
        count = emit.op("Where", alone, emit.extents(out, [axis]), [1], role="copies")
        value = _counted(emit, value, count)
    value = sum_open(emit, value, source, [a for a in unsure if a not in spread], lead)
    value = sum_broadcast(emit, value, [a for a in summed if a not in spread], lead)
    spread = frozenset(axis - lead for axis in spread if axis not in summed)
    return replace(cotangent, forward=source, tensor=value, factor=factor, spread=spread)


def _counted(emit: Emitter, value: ir.Value, count: ir.Value) -> ir.Value:
    """``value`` times an int64 number."""
    return emit.op("Mul", value, emit.cast(count, value.dtype), role="counted")


def broadcast_axes(out_dims: Sequence[Dim], dims: Sequence[Dim]) -> list[int]:
    """Axes of an output that an operand with ``dims`` was broadcast along."""
    lead = len(out_dims) - len(dims)
    return [
        axis
        for axis, extent in enumerate(out_dims)
        if axis < lead or (dims[axis - lead] == 1 and extent != 1)
    ]


def open_axes(
    out_dims: Sequence[Dim], dims: Sequence[Dim], partners: Sequence[Sequence[Dim] | None]
) -> list[int]:
    """Axes of an output that an operand with ``dims`` may be broadcast along at run time."""
    lead = len(out_dims) - len(dims)
    found: list[int] = []
    for axis, extent in enumerate(out_dims[lead:], lead):
        own = dims[axis - lead]
        if isinstance(own, int) or (own is not None and own == extent):
            continue
        if any(_widens(partner, axis - len(out_dims), own) for partner in partners):
            found.append(axis)
    return found


def _widens(partner: Sequence[Dim] | None, axis: int, own: Dim) -> bool:
    """Whether an operand may have another extent than ``own`` and 1 along an axis from the end."""
    if partner is None:
        return True
    return len(partner) >= -axis and partner[axis] != 1 and (own is None or partner[axis] != own)


def _partners_of(node: ir.Node, source: ir.Value) -> list[Sequence[Dim] | None]:
    """Extents of the other operands of a node; None for a shape, such as Expand's."""
    return [
        None if value.shape is None or value.dtype == ir.DataType.INT64 else dims_of(value)
        for value in node.inputs
        if value is not None and value is not source
    ]


def _alone(emit: Emitter, source: ir.Value, axes: Sequence[int]) -> ir.Value:
    """Where ``source`` has extent 1."""
    return emit.op("Equal", emit.extents(source, axes), [1], role="alone")


def sum_open(
    emit: Emitter, value: ir.Value, source: ir.Value, axes: Sequence[int], lead: int
) -> ir.Value:
    """Sum ``[K, *out]`` over those of ``axes`` along which ``source`` turns out to have extent 1.

    ``source`` lacks the first ``lead`` axes of the output. Each axis is split in the extent that
    ``source`` has there and the rest, so that the summed axes are known: not all engines take
    those that depend on the run.
    """
    if not axes:
        return value

    def whole(start: int, end: int | None) -> ir.Value:
        if end is None:
            return emit.op("Shape", value, role="extent", start=start)
        return emit.op("Shape", value, role="extent", start=start, end=end)

    parts, over, start = list[ir.Value](), list[int](), 0
    for axis in sorted(axes):
        at = 1 + axis
        alone = _alone(emit, source, [axis - lead])
        rest = emit.op("Where", alone, whole(at, at + 1), [1], role="rest")
        parts += [whole(start, at), emit.extents(source, [axis - lead]), rest]
        over.append(at + 1 + len(over))
        start = at + 1
    parts.append(whole(start, None))
    split = emit.op("Reshape", value, emit.vector(parts), role="split", allowzero=1)
    return emit.op("ReduceSum", split, over, role="unbroadcast", keepdims=0)


def sum_broadcast(emit: Emitter, value: ir.Value, axes: Sequence[int], lead: int) -> ir.Value:
    """Sum ``[K, *dims]`` over ``axes`` (K not counted) and drop the first ``lead`` of them."""
    if axes:
        over = [1 + axis for axis in axes]
        value = emit.op("ReduceSum", value, over, role="unbroadcast", keepdims=1)
    if lead:
        value = emit.op("Squeeze", value, range(1, 1 + lead), role="unbroadcast")
    return value
