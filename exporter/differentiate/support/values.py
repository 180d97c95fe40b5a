"""This module has what several families of rules need: checks, extents, small expressions."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from ...graph.emitter import Emitter, constant_of, dims_of

# An extent: static, or that of a value along an axis, read at run time.
Part: TypeAlias = int | tuple[ir.Value, int]


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
    emit: Emitter, condition: ir.Value, grad: ir.Value, other: ir.Value | None = None
) -> ir.Value:
    """``grad`` where the condition holds, else zero (or ``other``)."""
    return emit.op(
        "Where", condition, grad, emit.scalar(0.0, grad) if other is None else other,
        role="masked", dtype=grad.dtype,
    )  # fmt: skip


def number_if_classes(emit: Emitter, number: float, forward: ir.Value) -> ir.Value:
    """``number`` as a tensor [min(K, 1), 1, ...] that broadcasts ``forward`` to [min(K, 1), *dims].

    What depends on forward values alone would be computed for K = 0, too. With this for one of its
    constants it is empty then, and so is all that follows; for other K nothing changes.
    """
    some = emit.op("Min", classes(emit), emit.ints([1]), role="some")
    shape = emit.vector([some, *[1] * len(dims_of(forward))])
    return emit.op(
        "Expand", emit.scalar(number, forward), shape, role="gate",
        shape=[None, *[1] * len(dims_of(forward))],
    )  # fmt: skip


def above(emit: Emitter, value: ir.Value, bound: float = 0.0) -> ir.Value:
    """``value > bound`` as a mask [min(K, 1), *dims]."""
    return emit.op(
        "Greater", value, number_if_classes(emit, bound, value), role="above",
        dtype=ir.DataType.BOOL,
    )  # fmt: skip


def reshape_like(emit: Emitter, grad: ir.Value, forward: ir.Value, role: str = "") -> ir.Value:
    """Lay ``[K, ...]`` out as ``[K, *dims of forward]``.

    No axis is left as -1: with K = 0 it could not be inferred.
    """
    return emit.op("Reshape", grad, shape_of(emit, forward), role=role)


def emit_part(value: ir.Value, axis: int) -> Part:
    """Extent of ``value`` along ``axis`` for `Emitter.vector`: static, or read at run time."""
    extent = dims_of(value)[axis]
    return extent if isinstance(extent, int) else (value, axis)


def static_extent(value: ir.Value, axis: int) -> int:
    """Extent of ``value`` along ``axis``, which a check has found to be static."""
    extent = dims_of(value)[axis]
    assert isinstance(extent, int)
    return extent


def classes(emit: Emitter) -> ir.Value:
    """K for `Emitter.vector`.

    Not a 0, which would copy it: ONNX Runtime's ReshapeFusion replaces the one extent of a shape
    that is read at run time by -1, which no longer means anything when K = 0. Two stay as they are.
    """
    assert emit.classes_dim is not None
    return emit.classes_dim


def parts_of(forward: ir.Value, axes: Sequence[int] | None = None) -> list[Part]:
    """Extents along ``axes`` (all by default) for `Emitter.vector`."""
    return [
        emit_part(forward, axis)
        for axis in (range(len(dims_of(forward))) if axes is None else axes)
    ]


def cells(emit: Emitter, value: ir.Value, axes: Sequence[int] | None = None) -> ir.Value | int:
    """Number of elements along ``axes`` (all by default), as an extent of `Emitter.vector`."""
    dims = dims_of(value)
    chosen = range(len(dims)) if axes is None else axes
    static = [extent for axis in chosen if isinstance(extent := dims[axis], int)]
    dynamic = [axis for axis in chosen if not isinstance(dims[axis], int)]
    if not dynamic:
        return math.prod(static)
    read = emit.op("ReduceProd", emit.extents(value, dynamic), emit.ints([0]), keepdims=1)
    return emit.op("Mul", read, emit.ints([math.prod(static)]), role="cells")


def fold(emit: Emitter, grad: ir.Value, forward: ir.Value) -> ir.Value:
    """``[K, N, *rest]`` as ``[K * N, *rest]``, for operators that know one batch axis only."""
    if grad in emit.folded:
        return emit.folded[grad]
    rank = len(dims_of(forward))
    return emit.op(
        "Reshape", grad, emit.vector([-1, *parts_of(forward, range(1, rank))]), role="folded"
    )


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
    return value if like.dtype is None else emit.cast(value, like.dtype, "narrowed")


def zeros_like(emit: Emitter, forward: ir.Value, grad: ir.Value) -> ir.Value:
    """A cotangent ``[K, *dims]`` of zeros for ``forward``, in the type of another cotangent."""
    return emit.op("Expand", emit.scalar(0.0, grad), shape_of(emit, forward), role="zeros")


def shape_of(emit: Emitter, forward: ir.Value) -> ir.Value:
    """``[K, *dims]`` as an int64 vector."""
    return emit.vector([classes(emit), *parts_of(forward)])


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


def places(emit: Emitter, part: Part | ir.Value) -> ir.Value:
    """The numbers of the places along an axis with that extent, int64 [extent]."""
    extent = emit.op("Squeeze", emit.vector([part]), emit.ints([0]), role="extent")
    first, step = emit.constant(np.int64(0)), emit.constant(np.int64(1))
    return emit.op("Range", first, extent, step, role="places")


def identity(emit: Emitter, part: Part | ir.Value, kind: ir.DataType) -> ir.Value:
    """The identity matrix of that extent."""
    numbers = places(emit, part)
    column = emit.op("Unsqueeze", numbers, emit.ints([1]), role="column")
    same = emit.op("Equal", column, numbers, role="same", dtype=ir.DataType.BOOL)
    return emit.op("Cast", same, role="identity", dtype=kind, to=int(kind))


def times_extent(emit: Emitter, part: Part, count: int) -> int | ir.Value:
    """``count`` times an extent, for `Emitter.vector`."""
    if isinstance(part, int):
        return part * count
    return emit.op("Mul", emit.vector([part]), emit.ints([count]), role="extent")


def swapped(emit: Emitter, value: ir.Value) -> ir.Value:
    """The last two axes of a matrix (stack) exchanged."""
    rank = len(dims_of(value))
    perm = [*range(rank - 2), rank - 1, rank - 2]
    dims = dims_of(value)
    return emit.op(
        "Transpose", value, role="transposed", shape=[dims[axis] for axis in perm], perm=perm
    )
