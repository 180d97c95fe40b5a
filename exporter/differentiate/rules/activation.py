"""These rules differentiate activation functions and softmax.

Masks read an activation's output where they can: a further consumer of its input would prevent ONNX
Runtime from fusing the activation into the convolution before it.
"""

from __future__ import annotations

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.values import both, input_of, output_of


@vjp("Relu", since=6)
def relu(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` where the output is positive; 0 at 0, as in PyTorch."""
    return [g.where(output_of(emit, node).above())]


@vjp("LeakyRelu", since=6)
def leaky_relu(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` where the input is positive, else ``alpha g``."""
    alpha = node.attributes.get_float("alpha", 0.01)
    # With a positive slope the output has the sign of the input.
    sign = output_of(emit, node) if alpha > 0 else input_of(emit, node)
    return [g.where(sign.above(), g * alpha)]


@vjp("PRelu", since=9, inputs=(0,), broadcasts=True)
def prelu(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` where the input is positive, else ``slope * g``."""
    return [g.where(input_of(emit, node).above(), g * only_input(node, 1))]


@vjp("Elu", since=6)
def elu(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` where positive, else ``g (y + alpha)``, since ``y = alpha (e^x - 1)`` there."""
    x, y, alpha = (
        input_of(emit, node),
        output_of(emit, node),
        node.attributes.get_float("alpha", 1.0),
    )
    return [g.where(x.above(), g * (y + alpha))]


@vjp("Selu", since=6)
def selu(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``gamma g`` where positive, else ``g (y + alpha gamma)``."""
    x, y = input_of(emit, node), output_of(emit, node)
    alpha = node.attributes.get_float("alpha", 1.6732632423543772)
    gamma = node.attributes.get_float("gamma", 1.0507009873554805)
    return [(g * gamma).where(x.above(), g * (y + alpha * gamma))]


@vjp("Sigmoid", since=6)
def sigmoid(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g y (1 - y)``."""
    y = output_of(emit, node)
    return [g * (y * (y.number(1.0) - y))]


@vjp("Tanh", since=6)
def tanh(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g (1 - y^2)``."""
    return [g * (1.0 - output_of(emit, node).squared())]


@vjp("HardSigmoid", since=6)
def hard_sigmoid(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``alpha g`` strictly between the bounds."""
    y = output_of(emit, node)
    inside = both(emit, y.above(), y.below(y.number(1.0)))
    return [g.where(inside) * node.attributes.get_float("alpha", 0.2)]


@vjp("HardSwish", since=14)
def hard_swish(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g (x / 3 + 1/2)`` strictly between -3 and 3, 0 up to -3, ``g`` from 3 on, as PyTorch."""
    x = input_of(emit, node)
    slope = x * x.number(1 / 3) + 0.5
    slope = slope.where(x.below(x.number(3.0)), 1.0)
    return [g * slope.where(x.above(-3.0))]


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
