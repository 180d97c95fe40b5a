"""Normalisations by a norm, a root mean square, or neighbouring channels.

As in `normalise`, statistics are computed again from the input.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..adjoint import Adjoint, Result
from ..emitter import Emitter, dims_of
from .common import (
    float_attribute,
    int_attribute,
    ints_attribute,
    narrowed,
    only_input,
    where,
    wide,
)
from .registry import Needed, vjp
from .strided import padded

_END = 2**31 - 1  # beyond any extent


@vjp("LpNormalization", since=1)
def lp_normalization(
    emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed
) -> Sequence[Result]:
    """``(g - d sum(g y)) / norm`` with the norm's slope ``d``: ``y``, or ``sign(x)`` for p = 1.

    0 where the norm is 0, as the output is there.
    """
    x, y = only_input(node), node.outputs[0]
    axis, rank = int_attribute(node, "axis", -1), len(dims_of(x))
    along = emit.ints([axis if axis < 0 else axis - rank])
    straight = int_attribute(node, "p", 2) == 1
    norm = emit.op("ReduceL1" if straight else "ReduceL2", x, along, role="norm", keepdims=1)
    slope = emit.op("Sign", x) if straight else y
    weighted = emit.op("Mul", grad.value, y, role="weighted")
    total = emit.op("ReduceSum", weighted, along, role="total", keepdims=1)
    rest = emit.op("Sub", grad.value, emit.op("Mul", slope, total))
    none = emit.op("Equal", norm, emit.scalar(0.0, x), role="none", dtype=ir.DataType.BOOL)
    safe = where(emit, none, emit.scalar(1.0, x), norm)
    return [where(emit, none, emit.scalar(0.0, x), emit.op("Div", rest, safe))]


@vjp("MeanVarianceNormalization", since=9)
def mean_variance_normalization(
    emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed
) -> Sequence[Result]:
    """``(g - mean(g) - y mean(g y)) / deviation``; the 1e-9 in its divisor counts as constant."""
    x, y = only_input(node), node.outputs[0]
    rank = len(dims_of(x))
    chosen = ints_attribute(node, "axes")
    axes = [0, 2, 3] if chosen is None else chosen
    over = emit.ints([axis if axis < 0 else axis - rank for axis in axes])
    mean = emit.op("ReduceMean", x, over, role="mean", keepdims=1)
    centred = emit.op("Sub", x, mean, role="centred")
    square = emit.op("Mul", centred, centred, role="square")
    variance = emit.op("ReduceMean", square, over, role="variance", keepdims=1)
    deviation = emit.op("Sqrt", variance, role="deviation")
    deviation = emit.op("Add", deviation, emit.scalar(1e-9, x), role="deviation")
    along = emit.op("Mul", grad.value, y, role="along")
    along = emit.op("ReduceMean", along, over, role="along_mean", keepdims=1)
    mean = emit.op("ReduceMean", grad.value, over, role="mean", keepdims=1)
    rest = emit.op("Sub", emit.op("Sub", grad.value, mean), emit.op("Mul", y, along))
    return [emit.op("Div", rest, deviation, role="normalised")]


@vjp("RMSNormalization", since=23, inputs=(0,))
def rms_norm(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``(g - xhat mean(g xhat)) / rms`` with ``xhat = x / rms``, after the scale."""
    source = only_input(node)
    x = wide(emit, source)
    rank, axis = len(dims_of(x)), int_attribute(node, "axis", -1)
    over = emit.ints(range((axis if axis < 0 else axis - rank), 0))
    square = emit.op("Mul", x, x, role="square")
    mean = emit.op("ReduceMean", square, over, role="mean", keepdims=1)
    epsilon = emit.scalar(float_attribute(node, "epsilon", 1e-5), x)
    size = emit.op("Sqrt", emit.op("Add", mean, epsilon), role="rms")
    xhat = emit.op("Div", x, size, role="xhat")
    value = wide(emit, emit.op("Mul", grad.value, only_input(node, 1), role="scaled"))
    along = emit.op("Mul", value, xhat, role="along")
    along = emit.op("ReduceMean", along, over, role="along_mean", keepdims=1)
    rest = emit.op("Sub", value, emit.op("Mul", xhat, along))
    return [narrowed(emit, emit.op("Div", rest, size, role="normalised"), source)]


def _odd(node: ir.Node) -> str | None:
    size = int_attribute(node, "size", 1)
    return None if size % 2 else f"ONNX Runtime has no kernel for size={size}; use an odd size"


@vjp("LRN", since=1, check=_odd)
def local_response_norm(
    emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed
) -> Sequence[Result]:
    """``g / d^beta - 2 alpha beta / size * x sum(g y / d)`` over the windows that hold the channel.

    ``d = bias + alpha / size * sum(x^2)`` over ``size`` channels around the channel itself.
    """
    x, y = only_input(node), node.outputs[0]
    size, rank = int_attribute(node, "size", 1), len(dims_of(x))
    alpha, beta = float_attribute(node, "alpha", 1e-4), float_attribute(node, "beta", 0.75)
    side = size // 2
    square = _window_sum(emit, emit.op("Mul", x, x, role="square"), rank, 1, side)
    share = emit.op("Mul", square, emit.scalar(alpha / size, x), role="share")
    base = emit.op("Add", share, emit.scalar(float_attribute(node, "bias", 1.0), x), role="base")
    direct = emit.op("Div", grad.value, emit.op("Pow", base, emit.scalar(beta, x)), role="direct")
    through = emit.op("Mul", grad.value, emit.op("Div", y, base, role="ratio"), role="through")
    through = _window_sum(emit, through, 1 + rank, 2, side)
    factor = emit.op("Mul", x, emit.scalar(2 * alpha * beta / size, x), role="factor")
    return [emit.op("Sub", direct, emit.op("Mul", through, factor))]


def _window_sum(emit: Emitter, value: ir.Value, rank: int, axis: int, side: int) -> ir.Value:
    """For each place along an axis, the sum of it and the ``side`` places on either side."""
    wide = padded(emit, value, rank, {axis: (side, side)})
    total: ir.Value | None = None
    for offset in range(2 * side + 1):
        end = offset - 2 * side or _END
        bounds = (emit.ints([offset]), emit.ints([end]), emit.ints([axis]))
        part = emit.op("Slice", wide, *bounds, role="neighbour")
        total = part if total is None else emit.op("Add", total, part, role="window")
    assert total is not None
    return total
