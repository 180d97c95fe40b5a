"""Normalisations in inference mode.

Statistics are computed again from the input: asking the forward node for its optional outputs
would cost ONNX Runtime's fused kernel. Of LayerNormalization they are those of a second node with
scale 1, whose output is ``xhat``: one pass in place of seven.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from ..adjoint import Adjoint, Result
from ..emitter import Emitter, constant_of, dims_of
from .common import (
    classes,
    float_attribute,
    int_attribute,
    narrowed,
    only_input,
    parts_of,
    reshape_like,
    times,
    wide,
)
from .registry import Needed, vjp

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
