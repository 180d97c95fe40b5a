"""These rules differentiate activation functions and softmax.

Masks read an activation's output where they can: a further consumer of its input would prevent ONNX
Runtime from fusing the activation into the convolution before it.
"""

from __future__ import annotations

import onnx_ir as ir

from ...graph.emitter import Emitter, dims_of
from ...graph.expression import Expression
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.values import below_zero, both, input_of, output_of


@vjp("Relu", since=6, lazy=True)
def relu(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` where the output is positive; 0 at 0, as in PyTorch."""
    return [g.where(output_of(emit, node).above())]


@vjp("LeakyRelu", since=6, lazy=True)
def leaky_relu(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` where the input is positive, else ``alpha g``."""
    alpha = node.attributes.get_float("alpha", 0.01)
    # With a positive slope the output has the sign of the input.
    sign = output_of(emit, node) if alpha > 0 else input_of(emit, node)
    return [g * sign.choice(sign.above(), 1.0, alpha)]


@vjp("PRelu", since=9, inputs=(0,), lazy=True)
def prelu(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` where the input is positive, else ``slope * g``."""
    x, slope = input_of(emit, node), input_of(emit, node, 1)
    positive = x.indicator(x.above())
    return [g * (positive * (1.0 - slope) + slope)]


@vjp("Elu", since=6, lazy=True)
def elu(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` where positive, else ``g (y + alpha)``, since ``y = alpha (e^x - 1)`` there."""
    alpha = node.attributes.get_float("alpha", 1.0)
    return [g * _exponential_slope(input_of(emit, node), output_of(emit, node), 1.0, alpha)]


@vjp("Selu", since=6, lazy=True)
def selu(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``gamma g`` where positive, else ``g (y + alpha gamma)``."""
    alpha = node.attributes.get_float("alpha", 1.6732632423543772)
    gamma = node.attributes.get_float("gamma", 1.0507009873554805)
    x, y = input_of(emit, node), output_of(emit, node)
    return [g * _exponential_slope(x, y, gamma, alpha * gamma)]


def _exponential_slope(x: Expression, y: Expression, right: float, left: float) -> Expression:
    """``right`` where x is positive, else ``y + left``, which is ``left`` times an exponential."""
    exponential = below_zero(y) + left
    if right == left:
        return exponential
    return exponential * x.choice(x.above(), right / left, 1.0)


@vjp("Sigmoid", since=6)
def sigmoid(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g y (1 - y)``."""
    y = output_of(emit, node)
    return [g * (y * (y.number(1.0) - y))]


@vjp("Tanh", since=6)
def tanh(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g (1 - y^2)``."""
    return [g * (1.0 - output_of(emit, node).squared())]


@vjp("HardSigmoid", since=6, lazy=True)
def hard_sigmoid(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``alpha g`` strictly between the bounds."""
    y = output_of(emit, node)
    inside = both(emit, y.above(), y.beneath(1.0))
    return [g.where(inside) * node.attributes.get_float("alpha", 0.2)]


@vjp("HardSwish", since=14)
def hard_swish(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g (x / 3 + 1/2)`` strictly between -3 and 3, 0 up to -3, ``g`` from 3 on, as PyTorch."""
    x = input_of(emit, node)
    inside = x.indicator(both(emit, x.above(-3.0), x.beneath(3.0)))
    # The gate's height, x / 6 + 1/2 between 0 and 1, and x times its slope.
    part = x * x.number(1 / 6)
    return [g * (part.op("HardSigmoid", alpha=1.0, beta=0.5) + part * inside)]


@vjp("Softplus", since=1)
def softplus(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g sigmoid(x)``."""
    return [g * input_of(emit, node).op("Sigmoid")]


@vjp("Softsign", since=1)
def softsign(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g / (|x| + 1)^2``."""
    return [g / (input_of(emit, node).op("Abs") + 1.0).squared()]


@vjp("Mish", since=18)
def mish(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g (t + x sigmoid(x) (1 - t^2))`` with ``t = tanh(softplus(x))``."""
    x = input_of(emit, node)
    t = x.op("Softplus").op("Tanh")
    return [g * (t + x * x.op("Sigmoid") * (1.0 - t.squared()))]


def _softmax_axis(node: ir.Node) -> list[int]:
    """The axis counted from the end, where K does not shift it."""
    axis, rank = node.attributes.get_int("axis", -1), len(dims_of(node.outputs[0]))
    return [axis if axis < 0 else axis - rank]


@vjp("Softmax", since=13)
def softmax(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``(g - sum(g y)) y``."""
    y = output_of(emit, node)
    return [(g - (g * y).sum(_softmax_axis(node))) * y]


@vjp("LogSoftmax", since=13)
def log_softmax(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g - exp(y) sum(g)``."""
    return [g - output_of(emit, node).op("Exp") * g.sum(_softmax_axis(node))]
