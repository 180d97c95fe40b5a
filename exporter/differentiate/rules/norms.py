"""These rules differentiate normalisations.

Statistics are computed again from the input: reading the forward node's optional outputs would
prevent ONNX Runtime's fused kernel. For LayerNormalization a second node with scale 1 computes
them, and its output is ``xhat``: one pass in place of seven.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ...graph.attributes import ints_attribute, only_input
from ...graph.emitter import Emitter, constant_of, dims_of, parts_of
from ...graph.expression import Expression
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.strided import padded
from ..support.values import input_of, narrowed, output_of, reshape_like, wide

_END = 2**31 - 1  # beyond any extent


def _from_end(node: ir.Node, axis: int) -> int:
    """An axis of the input counted from the end, where K does not shift it."""
    return axis if axis < 0 else axis - len(dims_of(only_input(node)))


@vjp("LpNormalization", since=1)
def lp_normalization(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``(g - d sum(g y)) / norm`` with the norm's slope ``d``: ``y``, or ``sign(x)`` for p = 1.

    0 where the norm is 0, as the output is there.
    """
    x, y = input_of(emit, node), output_of(emit, node)
    over = [_from_end(node, node.attributes.get_int("axis", -1))]
    straight = node.attributes.get_int("p", 2) == 1
    norm = x.op("ReduceL1" if straight else "ReduceL2", over, keepdims=1)
    rest = g - (x.op("Sign") if straight else y) * (g * y).sum(over)
    return [(rest / norm.without_zeros()).unless(norm.equals(0.0))]


@vjp("MeanVarianceNormalization", since=9)
def mean_variance_normalization(
    emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed
) -> Cotangents:
    """``(g - mean(g) - y mean(g y) (s + e) / s) / (s + e)``, s the deviation, e = 1e-9."""
    x, chosen = input_of(emit, node), ints_attribute(node, "axes")
    over = [_from_end(node, axis) for axis in ([0, 2, 3] if chosen is None else chosen)]
    centred = x - x.mean(over)
    # Again: the mean of numbers that are nearly equal is rounded by as much as they differ.
    centred = centred - centred.mean(over)
    deviation = centred.squared().mean(over).op("Sqrt")
    divisor = deviation + 1e-9
    # Not the node's own: ONNX Runtime rounds its deviation more coarsely. Where that is 0, so is y.
    y = centred / divisor
    beside = y * (g * y).mean(over) * (divisor / deviation.without_zeros())
    return [(g - g.mean(over) - beside) / divisor]


@vjp("RMSNormalization", since=23, inputs=(0,))
def rms_norm(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``(g - xhat mean(g xhat)) / rms`` with ``xhat = x / rms``, after the scale."""
    source, over = only_input(node), range(_from_end(node, node.attributes.get_int("axis", -1)), 0)
    x = Expression(emit, wide(emit, source))
    rms = (x.squared().mean(over) + node.attributes.get_float("epsilon", 1e-5)).op("Sqrt")
    xhat = x / rms
    g = (g * only_input(node, 1)).through(wide)
    return [((g - xhat * (g * xhat).mean(over)) / rms).through(narrowed, source)]


def _odd(node: ir.Node) -> str | None:
    size = node.attributes.get_int("size", 1)
    return None if size % 2 else f"ONNX Runtime has no kernel for size={size}; use an odd size"


@vjp("LRN", since=1, check=_odd)
def local_response_norm(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g / d^beta - 2 alpha beta / size * x sum(g y / d)`` over the windows with the channel.

    ``d = bias + alpha / size * sum(x^2)`` over ``size`` channels around the channel itself.
    """
    x, y = input_of(emit, node), output_of(emit, node)
    size, rank = node.attributes.get_int("size", 1), len(dims_of(x.value))
    alpha, beta = node.attributes.get_float("alpha", 1e-4), node.attributes.get_float("beta", 0.75)
    squares = Expression(emit, _window_sum(emit, x.squared().value, rank, 1, size // 2))
    d = squares * (alpha / size) + node.attributes.get_float("bias", 1.0)
    through = (g * (y / d)).through(_window_sum, 1 + rank, 2, size // 2)
    return [g / d**beta - through * (x * (2 * alpha * beta / size))]


def _window_sum(emit: Emitter, value: ir.Value, rank: int, axis: int, side: int) -> ir.Value:
    """For each place along an axis, the sum of it and the ``side`` places on either side."""
    wide = padded(emit, value, rank, {axis: (side, side)})
    ends = [offset - 2 * side or _END for offset in range(2 * side + 1)]
    total, *others = [
        emit.op("Slice", wide, [offset], [end], [axis], role="neighbour")
        for offset, end in enumerate(ends)
    ]
    for part in others:
        total = emit.op("Add", total, part, role="window")
    return total


_STASH = ir.DataType.FLOAT  # the type of LayerNormalization's statistics


def _inference(node: ir.Node) -> str | None:
    if node.attributes.get_int("training_mode", 0):
        return "training_mode=1 has no gradient rule; export the model in eval mode"
    return None


def per_channel(emit: Emitter, vector: ir.Value, rank: int) -> ir.Value:
    """A vector [C] as [C, 1, ...], which broadcasts against [N, C, *space] of ``rank`` axes."""
    ones = [1] * (rank - 2)
    return emit.op("Reshape", vector, [-1, *ones], role="channels", shape=[*dims_of(vector), *ones])


@vjp("BatchNormalization", since=9, inputs=(0,), lazy=True, check=_inference)
def batch_norm(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g scale / sqrt(var + epsilon)`` by channel: an affine map in inference mode."""
    rank = len(dims_of(node.outputs[0]))
    scale, variance = only_input(node, 1), only_input(node, 4)
    number = node.attributes.get_float("epsilon", 1e-5)
    fixed, spread = constant_of(scale), constant_of(variance)
    if fixed is not None and spread is not None:
        # A vector of the channels: smaller than the four nodes that compute it.
        factor = fixed.astype(np.float64) / np.sqrt(spread.astype(np.float64) + number)
        factor = factor.reshape(-1, *[1] * (rank - 2))
        return [g * emit.constant(factor, only_input(node).dtype)]
    # Scale and variance may differ in type.
    top, variance = (Expression(emit, wide(emit, value)) for value in (scale, variance))
    slope = top.op("Div", (variance + number).op("Sqrt"), shape=dims_of(scale)).value
    return [g * per_channel(emit, narrowed(emit, slope, only_input(node)), rank)]


def _layer_statistics(
    x: Expression, dims: Sequence[int], axis: int, epsilon: float
) -> tuple[Expression, Expression]:
    """``xhat`` and ``r`` over the last axes, of static extents ``dims``, by one node."""
    ones = x.emit.constant(np.ones(dims), x.value.dtype)
    inputs, types = (x.value, ones), [x.value.dtype, _STASH, _STASH]
    xhat, _, rate = x.emit.ops(
        "LayerNormalization", *inputs, count=3, role="xhat", dtype=types, axis=axis, epsilon=epsilon
    )
    return x.of(xhat), x.of(rate)


def _normalised(g: Cotangent, xhat: Expression, rate: Expression, axes: Sequence[int]) -> Cotangent:
    """``(g - mean(g) - xhat mean(g xhat)) r`` with ``xhat = r (x - mean(x))``.

    ``r = 1 / sqrt(variance + epsilon)``. ``axes`` count from the end, where the cotangent's leading
    K does not shift them.
    """
    return (g - g.mean(axes) - xhat * (g * xhat).mean(axes)) * rate


def _by_moments(g: Cotangent, x: ir.Value, axes: Sequence[int], epsilon: float) -> Cotangent:
    """`_normalised` over axes of any extents; 16 bits in float32, as in the forward operators."""
    forward = Expression(g.emit, wide(g.emit, x))
    centred = forward - forward.mean(axes)
    rate = (centred.squared().mean(axes) + epsilon).op("Sqrt").op("Reciprocal")
    return _normalised(g.through(wide), centred * rate, rate, axes).through(narrowed, x)


@vjp("LayerNormalization", since=17, inputs=(0,))
def layer_norm(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """See `_normalised`, over ``axis`` and all after it, after the scale."""
    x, epsilon = only_input(node), node.attributes.get_float("epsilon", 1e-5)
    axes = range(_from_end(node, node.attributes.get_int("axis", -1)), 0)
    g = g * only_input(node, 1)
    dims = [extent for extent in dims_of(x)[axes.start :] if isinstance(extent, int)]
    # The node's statistics are float32, which is less than a float64 model needs.
    if len(dims) < len(axes) or x.dtype == ir.DataType.DOUBLE:
        return [_by_moments(g, x, axes, epsilon)]
    statistics = _layer_statistics(Expression(emit, wide(emit, x)), dims, axes.start, epsilon)
    return [_normalised(g.through(wide), *statistics, axes).through(narrowed, x)]


@vjp("InstanceNormalization", since=6, inputs=(0,))
def instance_norm(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """See `_normalised`, over the spatial axes, after the scale."""
    x = only_input(node)
    rank = len(dims_of(x))
    g = g * per_channel(emit, only_input(node, 1), rank)
    return [_by_moments(g, x, range(2 - rank, 0), node.attributes.get_float("epsilon", 1e-5))]


@vjp("GroupNormalization", since=21, inputs=(0,))
def group_norm(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """See `_normalised`, over the channels of a group and space, after the scale by channel."""
    x = only_input(node)
    rank, groups = len(dims_of(x)), node.attributes.get_int("num_groups", 1)
    g = g * per_channel(emit, only_input(node, 1), rank)
    grouped = emit.op("Reshape", x, [*parts_of(x, [0]), groups, -1], role="grouped")
    shape = emit.op("Shape", grouped)
    g = g.op("Reshape", [emit.classes, shape], role="grouped")
    g = _by_moments(g, grouped, [-1], node.attributes.get_float("epsilon", 1e-5))
    return [g.through(reshape_like, x)]
