"""Normalisations in inference mode.

Statistics are computed again from the input: asking the forward node for its optional outputs
would cost ONNX Runtime's fused kernel.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..adjoint import Adjoint, Result
from ..emitter import Emitter, dims_of
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
    dims = dims_of(scale)
    scale, variance = wide(emit, scale), wide(emit, variance)  # they may differ in type
    epsilon = emit.scalar(float_attribute(node, "epsilon", 1e-5), variance)
    spread = emit.op("Sqrt", emit.op("Add", variance, epsilon), role="deviation")
    slope = emit.op("Div", scale, spread, role="slope", shape=dims)
    slope = narrowed(emit, slope, only_input(node))
    return [times(emit, grad, per_channel(emit, slope, rank), rank)]


def _normalised(
    emit: Emitter, x: ir.Value, grad: ir.Value, axes: Sequence[int], epsilon: float
) -> ir.Value:
    """``r (g - mean(g) - xhat mean(g xhat))`` with ``xhat = r (x - mean(x))``.

    ``axes`` count from the end, where the cotangent's leading K does not shift them. As in the
    forward operators, 16-bit statistics are computed in float32.
    """
    over, source = emit.ints(axes), x
    x, grad = wide(emit, x), wide(emit, grad)
    centred = emit.op(
        "Sub", x, emit.op("ReduceMean", x, over, role="mean", keepdims=1), role="centred"
    )
    square = emit.op("Mul", centred, centred, role="square")
    variance = emit.op("ReduceMean", square, over, role="variance", keepdims=1)
    deviation = emit.op("Sqrt", emit.op("Add", variance, emit.scalar(epsilon, x)), role="deviation")
    xhat = emit.op("Div", centred, deviation, role="xhat")
    mean = emit.op("ReduceMean", grad, over, role="mean", keepdims=1)
    along = emit.op("Mul", grad, xhat, role="along")
    along = emit.op("ReduceMean", along, over, role="along_mean", keepdims=1)
    rest = emit.op("Sub", emit.op("Sub", grad, mean), emit.op("Mul", xhat, along))
    return narrowed(emit, emit.op("Div", rest, deviation, role="normalised"), source)


@vjp("LayerNormalization", since=17, inputs=(0,))
def layer_norm(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """See `_normalised`, over ``axis`` and all after it, after the scale."""
    x = only_input(node)
    rank, axis = len(dims_of(x)), int_attribute(node, "axis", -1)
    axes = range((axis if axis < 0 else axis - rank), 0)
    value = emit.op("Mul", grad.value, only_input(node, 1), role="scaled")
    return [_normalised(emit, x, value, axes, float_attribute(node, "epsilon", 1e-5))]


@vjp("InstanceNormalization", since=6, inputs=(0,))
def instance_norm(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """See `_normalised`, over the spatial axes, after the scale."""
    x = only_input(node)
    rank = len(dims_of(x))
    scale = per_channel(emit, only_input(node, 1), rank)
    value = emit.op("Mul", grad.value, scale, role="scaled")
    return [_normalised(emit, x, value, range(2 - rank, 0), float_attribute(node, "epsilon", 1e-5))]


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
    return [reshape_like(emit, _normalised(emit, grouped, cotangent, [-1], epsilon), x)]
