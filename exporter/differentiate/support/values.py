"""This module has what several families of rules need: checks, extents, small expressions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence

import numpy as np
import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, Extent, Part, constant_of, dims_of, parts_of
from ...graph.expression import Expression


def input_of(emit: Emitter, node: ir.Node, index: int = 0) -> Expression:
    """Input ``index`` of a node, which the operator requires."""
    return Expression(emit, only_input(node, index))


def output_of(emit: Emitter, node: ir.Node) -> Expression:
    """The first output of a node."""
    return Expression(emit, node.outputs[0])


def readable(read: Callable[[ir.Node], object]) -> Callable[[ir.Node], str | None]:
    """A check: ``read`` raises no ValueError for the node."""

    def check(node: ir.Node) -> str | None:
        try:
            read(node)
        except ValueError as error:
            return str(error)
        return None

    return check


def needs_constant(*indices: int) -> Callable[[ir.Node], str | None]:
    """A check: the inputs at ``indices``, where given, must be constants."""

    def check(node: ir.Node) -> str | None:
        for index in indices:
            value = node.inputs[index] if index < len(node.inputs) else None
            if value is not None and constant_of(value) is None:
                return f"its input {value.name!r} is computed at run time; it must be a constant"
        return None

    return check


def indices_ranked(node: ir.Node) -> str | None:
    """A check: the rank of the node's indices (its second input) is known."""
    if node.inputs[1] is None or node.inputs[1].shape is None:
        return "the rank of its indices is unknown; write its shape into the model"
    return None


def where(
    emit: Emitter, condition: ir.Value, grad: ir.Value | float, other: ir.Value | float = 0.0
) -> ir.Value:
    """``grad`` where the condition holds, else zero (or ``other``)."""
    return emit.op("Where", condition, grad, other, role="masked")


def both(emit: Emitter, a: ir.Value, b: ir.Value) -> ir.Value:
    """Where two masks of one shape are true."""
    shape = None if a.shape is None else dims_of(a)
    return emit.op("And", a, b, role="inside", shape=shape)


def below_zero(y: Expression) -> Expression:
    """The smaller of a forward value and 0; a product, since WebGPU has no Min."""
    return y * y.indicator(y.beneath(0.0))


def reshape_like(emit: Emitter, grad: ir.Value, forward: ir.Value, role: str = "") -> ir.Value:
    """Lay ``[K, ...]`` out as ``[K, *dims of forward]``.

    No axis is left as -1: with K = 0 it could not be inferred.
    """
    return emit.op("Reshape", grad, shape_of(emit, forward), role=role)


def static_extent(value: ir.Value, axis: int) -> int:
    """Extent of ``value`` along ``axis``, which a check has found to be static."""
    extent = dims_of(value)[axis]
    assert isinstance(extent, int)
    return extent


def cells(emit: Emitter, value: ir.Value, axes: Sequence[int] | None = None) -> ir.Value | int:
    """Number of elements along ``axes`` (all by default), as an extent of `Emitter.vector`."""
    dims = dims_of(value)
    chosen = range(len(dims)) if axes is None else axes
    static = [extent for axis in chosen if isinstance(extent := dims[axis], int)]
    dynamic = [axis for axis in chosen if not isinstance(dims[axis], int)]
    if not dynamic:
        return math.prod(static)
    read = emit.op("ReduceProd", emit.extents(value, dynamic), [0], keepdims=1)
    return emit.op("Mul", read, [math.prod(static)], role="cells")


def fold(emit: Emitter, grad: ir.Value, forward: ir.Value) -> ir.Value:
    """``[K, N, *rest]`` as ``[K * N, *rest]``, for operators that know one batch axis only."""
    if grad in emit.folded:
        return emit.folded[grad]
    rank = len(dims_of(forward))
    return emit.op("Reshape", grad, [-1, *parts_of(forward, range(1, rank))], role="folded")


def unfold(emit: Emitter, folded: ir.Value, forward: ir.Value) -> ir.Value:
    """``[K * N, *rest]`` as ``[K, N, *rest]`` where ``forward`` is ``[N, *rest]``."""
    value = reshape_like(emit, folded, forward, role="unfolded")
    emit.folded[value] = folded
    return value


def wide(emit: Emitter, value: ir.Value) -> ir.Value:
    """``value`` for sums of squares: float32 where it has 16 bits, which 256 squared overflows."""
    half = value.dtype in (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)
    return emit.cast(value, ir.DataType.FLOAT, "wide") if half else value


def narrowed(emit: Emitter, value: ir.Value, like: ir.Value) -> ir.Value:
    """``value`` in the type of ``like``: the way back from `wide`."""
    return emit.cast(value, like.dtype, "narrowed")


def zeros_like(emit: Emitter, forward: ir.Value, grad: ir.Value) -> ir.Value:
    """A cotangent ``[K, *dims]`` of zeros for ``forward``, in the type of another cotangent."""
    return emit.op("Expand", emit.scalar(0.0, grad), shape_of(emit, forward), role="zeros")


def shape_of(emit: Emitter, forward: ir.Value) -> ir.Value:
    """``[K, *dims]`` as an int64 vector."""
    return emit.vector([emit.classes, *parts_of(forward)])


def scatter_add(
    emit: Emitter, shape: ir.Value, places: ir.Value, updates: ir.Value, axis: int = 1
) -> ir.Value:
    """Zeros of ``shape`` with ``updates`` added at ``places`` along ``axis``.

    16 bits are added up in float32: ONNX Runtime's CPU refuses to do it in float16.
    """
    summands = wide(emit, updates)
    empty = emit.op("Expand", emit.scalar(0.0, summands), shape, role="zeros")
    added = emit.op("ScatterElements", empty, places, summands, axis=axis, reduction="add")
    return narrowed(emit, added, updates)


def places(emit: Emitter, part: Extent) -> ir.Value:
    """The numbers of the places along an axis with that extent, int64 [extent]."""
    extent = emit.op("Squeeze", [part], [0], role="extent")
    first, step = emit.constant(np.int64(0)), emit.constant(np.int64(1))
    return emit.op("Range", first, extent, step, role="places")


def identity(emit: Emitter, part: Extent, kind: ir.DataType | None) -> ir.Value:
    """The identity matrix of that extent."""
    numbers = places(emit, part)
    column = emit.op("Unsqueeze", numbers, [1], role="column")
    same = emit.op("Equal", column, numbers, role="same")
    return emit.cast(same, kind, "identity")


def times_extent(emit: Emitter, part: Part, count: int) -> int | ir.Value:
    """``count`` times an extent, for `Emitter.vector`."""
    if isinstance(part, int):
        return part * count
    return emit.op("Mul", [part], [count], role="extent")


def swapped(emit: Emitter, value: ir.Value) -> ir.Value:
    """The last two axes of a matrix (stack) exchanged."""
    rank = len(dims_of(value))
    perm = [*range(rank - 2), rank - 1, rank - 2]
    dims = dims_of(value)
    return emit.op(
        "Transpose", value, role="transposed", shape=[dims[axis] for axis in perm], perm=perm
    )
