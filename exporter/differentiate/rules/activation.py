"""Activation functions and softmax.

Masks read an activation's output where they can: a further consumer of its input would keep ONNX
Runtime from fusing the activation into the convolution before it.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ...graph.attributes import float_attribute, int_attribute, only_input
from ...graph.emitter import Emitter, dims_of
from ..adjoint import Adjoint, Result
from ..registry import Needed, vjp
from ..support.values import above, gate, where


@vjp("Relu", since=6)
def relu(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g`` where the output is positive; 0 at 0, as in PyTorch."""
    return [where(emit, above(emit, node.outputs[0]), grad.value)]


@vjp("LeakyRelu", since=6)
def leaky_relu(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g`` where the input is positive, else ``alpha g``."""
    slope = float_attribute(node, "alpha", 0.01)
    # With a positive slope the output has the sign of the input.
    sign = node.outputs[0] if slope > 0 else only_input(node)
    leak = emit.op("Mul", grad.value, emit.scalar(slope, grad.value), role="leak")
    return [where(emit, above(emit, sign), grad.value, leak)]


@vjp("PRelu", since=9, inputs=(0,), broadcasts=True)
def prelu(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g`` where the input is positive, else ``slope * g``."""
    x, slope = only_input(node, 0), only_input(node, 1)
    leak = emit.op("Mul", grad.value, slope, role="leak")
    return [where(emit, above(emit, x), grad.value, leak)]


@vjp("Elu", since=6)
def elu(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g`` where positive, else ``g (y + alpha)``, since ``y = alpha (e^x - 1)`` there."""
    y = node.outputs[0]
    slope = emit.op("Add", y, emit.scalar(float_attribute(node, "alpha", 1.0), y), role="slope")
    bent = emit.op("Mul", grad.value, slope)
    return [where(emit, above(emit, only_input(node)), grad.value, bent)]


@vjp("Selu", since=6)
def selu(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``gamma g`` where positive, else ``g (y + alpha gamma)``."""
    y = node.outputs[0]
    alpha = float_attribute(node, "alpha", 1.6732632423543772)
    gamma = float_attribute(node, "gamma", 1.0507009873554805)
    slope = emit.op("Add", y, emit.scalar(alpha * gamma, y), role="slope")
    bent = emit.op("Mul", grad.value, slope)
    straight = emit.op("Mul", grad.value, emit.scalar(gamma, y))
    return [where(emit, above(emit, only_input(node)), straight, bent)]


@vjp("Sigmoid", since=6)
def sigmoid(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g y (1 - y)``."""
    y = node.outputs[0]
    slope = emit.op("Mul", y, emit.op("Sub", gate(emit, 1.0, y), y, role="rest"), role="slope")
    return [emit.op("Mul", grad.value, slope)]


@vjp("Tanh", since=6)
def tanh(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g (1 - y^2)``."""
    y = node.outputs[0]
    slope = emit.op("Sub", emit.scalar(1.0, y), emit.op("Mul", y, y, role="square"), role="slope")
    return [emit.op("Mul", grad.value, slope)]


@vjp("HardSigmoid", since=6)
def hard_sigmoid(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``alpha g`` strictly between the bounds."""
    y = node.outputs[0]
    below = emit.op("Less", y, gate(emit, 1.0, y), role="below", dtype=ir.DataType.BOOL)
    inside = emit.op("And", above(emit, y), below, role="inside")
    return [Adjoint(where(emit, inside, grad.value), float_attribute(node, "alpha", 0.2))]


@vjp("HardSwish", since=14)
def hard_swish(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g (x / 3 + 1/2)`` strictly between -3 and 3, 0 up to -3, ``g`` from 3 on, as PyTorch."""
    x = only_input(node)
    third = emit.op("Mul", x, gate(emit, 1 / 3, x))
    slope = emit.op("Add", third, emit.scalar(0.5, x), role="slope")
    below = emit.op("Less", x, gate(emit, 3.0, x), role="below", dtype=ir.DataType.BOOL)
    slope = where(emit, below, slope, emit.scalar(1.0, x))
    return [emit.op("Mul", grad.value, where(emit, above(emit, x, -3.0), slope))]


@vjp("Softplus", since=1)
def softplus(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g sigmoid(x)``."""
    return [emit.op("Mul", grad.value, emit.op("Sigmoid", only_input(node)))]


@vjp("Softsign", since=1)
def softsign(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g / (1 + |x|)^2``."""
    x = only_input(node)
    size = emit.op("Add", emit.op("Abs", x), emit.scalar(1.0, x), role="size")
    return [emit.op("Div", grad.value, emit.op("Mul", size, size, role="square"))]


@vjp("Mish", since=18)
def mish(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g (t + x (1 - t^2) sigmoid(x))`` with ``t = tanh(softplus(x))``."""
    x = only_input(node)
    t = emit.op("Tanh", emit.op("Softplus", x), role="gate")
    flat = emit.op("Sub", emit.scalar(1.0, x), emit.op("Mul", t, t, role="square"))
    bend = emit.op("Mul", emit.op("Mul", x, emit.op("Sigmoid", x)), flat)
    return [emit.op("Mul", grad.value, emit.op("Add", t, bend, role="slope"))]


def _softmax_axis(node: ir.Node) -> int:
    """The axis counted from the end, where K does not shift it."""
    axis, rank = int_attribute(node, "axis", -1), len(dims_of(node.outputs[0]))
    return axis if axis < 0 else axis - rank


@vjp("Softmax", since=13)
def softmax(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``y (g - sum(g y))``."""
    y, axis = node.outputs[0], emit.ints([_softmax_axis(node)])
    weighted = emit.op("Mul", grad.value, y, role="weighted")
    total = emit.op("ReduceSum", weighted, axis, role="total", keepdims=1)
    return [emit.op("Mul", emit.op("Sub", grad.value, total), y)]


@vjp("LogSoftmax", since=13)
def log_softmax(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g - exp(y) sum(g)``."""
    axis = emit.ints([_softmax_axis(node)])
    total = emit.op("ReduceSum", grad.value, axis, role="total", keepdims=1)
    return [emit.op("Sub", grad.value, emit.op("Mul", emit.op("Exp", node.outputs[0]), total))]
