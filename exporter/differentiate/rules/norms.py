"""Normalisations: by statistics, by a norm, a root mean square, or neighbouring channels.

Statistics are computed again from the input: asking the forward node for its optional outputs
would cost ONNX Runtime's fused kernel. Of LayerNormalization they are those of a second node with
scale 1, whose output is ``xhat``: one pass in place of seven.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...graph.attributes import float_attribute, int_attribute, ints_attribute, only_input
from ...graph.emitter import Emitter, constant_of, dims_of
from ..adjoint import Adjoint, Result
from ..registry import Needed, vjp
from ..support.strided import padded
from ..support.values import classes, narrowed, parts_of, reshape_like, times, where, wide

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


_STASH = ir.DataType.FLOAT  # the type of LayerNormalization's statistics


def _inference(node: ir.Node) -> str | None:
    if int_attribute(node, "training_mode", 0):
        return "training_mode=1 has no gradient rule; export the model in eval mode"
    return None


def per_channel(emit: Emitter, vector: ir.Value, rank: int) -> ir.Value:
    """A vector [C] as [C, 1, ...], which broadcasts against [N, C, *space] of ``rank`` axes."""
    channels = dims_of(vector)[0]
    shape = [channels, *[1] * (rank - 2)]
    return emit.op(
        "Reshape", vector, emit.ints([-1, *[1] * (rank - 2)]), role="channels", shape=shape
    )


@vjp("BatchNormalization", since=9, inputs=(0,), lazy=True, check=_inference)
def batch_norm(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g scale / sqrt(var + epsilon)`` by channel: an affine map in inference mode."""
    rank = len(dims_of(node.outputs[0]))
    scale, variance = only_input(node, 1), only_input(node, 4)
    number = float_attribute(node, "epsilon", 1e-5)
    fixed, spread = constant_of(scale), constant_of(variance)
    if fixed is not None and spread is not None:
        # A vector of the channels: smaller than the four nodes that compute it.
        factor = fixed.astype(np.float64) / np.sqrt(spread.astype(np.float64) + number)
        factor = factor.reshape(-1, *[1] * (rank - 2))
        return [times(emit, grad, emit.constant(factor, only_input(node).dtype), rank)]
    dims = dims_of(scale)
    scale, variance = wide(emit, scale), wide(emit, variance)  # they may differ in type
    epsilon = emit.scalar(number, variance)
    deviation = emit.op("Sqrt", emit.op("Add", variance, epsilon), role="deviation")
    slope = emit.op("Div", scale, deviation, role="slope", shape=dims)
    slope = narrowed(emit, slope, only_input(node))
    return [times(emit, grad, per_channel(emit, slope, rank), rank)]


def _statistics(
    emit: Emitter, x: ir.Value, axes: Sequence[int], epsilon: float
) -> tuple[ir.Value, ir.Value]:
    """``xhat = r (x - mean(x))`` and ``r = 1 / sqrt(variance + epsilon)``."""
    over = emit.ints(axes)
    mean = emit.op("ReduceMean", x, over, role="mean", keepdims=1)
    centred = emit.op("Sub", x, mean, role="centred")
    square = emit.op("Mul", centred, centred, role="square")
    variance = emit.op("ReduceMean", square, over, role="variance", keepdims=1)
    deviation = emit.op("Sqrt", emit.op("Add", variance, emit.scalar(epsilon, x)), role="deviation")
    rate = emit.op("Reciprocal", deviation, role="rate")
    return emit.op("Mul", centred, rate, role="xhat"), rate


def _layer_statistics(
    emit: Emitter, x: ir.Value, dims: Sequence[int], axis: int, epsilon: float
) -> tuple[ir.Value, ir.Value]:
    """`_statistics` over the last axes, of static extents ``dims``, by one node."""
    ones = emit.constant(np.ones(dims), x.dtype)
    xhat, _, rate = emit.ops(
        "LayerNormalization", x, ones, count=3, role="xhat", dtype=[x.dtype, _STASH, _STASH],
        axis=axis, epsilon=epsilon,
    )  # fmt: skip
    return xhat, rate


def _normalised(
    emit: Emitter, grad: ir.Value, xhat: ir.Value, rate: ir.Value, axes: Sequence[int]
) -> ir.Value:
    """``r (g - mean(g) - xhat mean(g xhat))``.

    ``axes`` count from the end, where the cotangent's leading K does not shift them.
    """
    over = emit.ints(axes)
    mean = emit.op("ReduceMean", grad, over, role="mean", keepdims=1)
    along = emit.op("Mul", grad, xhat, role="along")
    along = emit.op("ReduceMean", along, over, role="along_mean", keepdims=1)
    rest = emit.op("Sub", emit.op("Sub", grad, mean), emit.op("Mul", xhat, along))
    return emit.op("Mul", rest, rate, role="normalised")


def _by_moments(
    emit: Emitter, x: ir.Value, grad: ir.Value, axes: Sequence[int], epsilon: float
) -> ir.Value:
    """`_normalised` over axes of any extents; 16 bits in float32, as in the forward operators."""
    statistics = _statistics(emit, wide(emit, x), axes, epsilon)
    return narrowed(emit, _normalised(emit, wide(emit, grad), *statistics, axes), x)


@vjp("LayerNormalization", since=17, inputs=(0,))
def layer_norm(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """See `_normalised`, over ``axis`` and all after it, after the scale."""
    x, scale = only_input(node), only_input(node, 1)
    rank, axis = len(dims_of(x)), int_attribute(node, "axis", -1)
    axes = range((axis if axis < 0 else axis - rank), 0)
    epsilon = float_attribute(node, "epsilon", 1e-5)
    value = emit.op("Mul", grad.value, scale, role="scaled")
    dims = [extent for extent in dims_of(x)[axes.start :] if isinstance(extent, int)]
    # The node's statistics are float32, which is less than a float64 model asks for.
    if len(dims) < len(axes) or x.dtype == ir.DataType.DOUBLE:
        return [_by_moments(emit, x, value, axes, epsilon)]
    statistics = _layer_statistics(emit, wide(emit, x), dims, axes.start, epsilon)
    return [narrowed(emit, _normalised(emit, wide(emit, value), *statistics, axes), x)]


@vjp("InstanceNormalization", since=6, inputs=(0,))
def instance_norm(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """See `_normalised`, over the spatial axes, after the scale."""
    x = only_input(node)
    rank = len(dims_of(x))
    scale = per_channel(emit, only_input(node, 1), rank)
    value = emit.op("Mul", grad.value, scale, role="scaled")
    return [_by_moments(emit, x, value, range(2 - rank, 0), float_attribute(node, "epsilon", 1e-5))]


@vjp("GroupNormalization", since=21, inputs=(0,))
def group_norm(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """See `_normalised`, over the channels of a group and space, after the scale by channel."""
    x = only_input(node)
    rank, groups = len(dims_of(x)), int_attribute(node, "num_groups", 1)
    scale = per_channel(emit, only_input(node, 1), rank)
    value = emit.op("Mul", grad.value, scale, role="scaled")
    batch = parts_of(x, [0])
    grouped = emit.op("Reshape", x, emit.vector([*batch, groups, -1]), role="grouped")
    shape = emit.op("Shape", grouped, dtype=ir.DataType.INT64)
    cotangent = emit.op("Reshape", value, emit.vector([classes(emit), shape]), role="grouped")
    epsilon = float_attribute(node, "epsilon", 1e-5)
    return [reshape_like(emit, _by_moments(emit, grouped, cotangent, [-1], epsilon), x)]
