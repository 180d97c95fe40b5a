"""Further functions of one element: inverse and hyperbolic functions, thresholds, and the mean."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..adjoint import Adjoint, Result
from ..emitter import Emitter, dims_of
from .common import above, float_attribute, int_attribute, only_input, times, where
from .registry import Needed, vjp


def _squared_plus_one(emit: Emitter, value: ir.Value) -> ir.Value:
    square = emit.op("Mul", value, value, role="square")
    return emit.op("Add", square, emit.scalar(1.0, value), role="square_plus_one")


def _cofactors(emit: Emitter, x: ir.Value, sign: float) -> ir.Value:
    """``sign (1 - x^2)`` as a product, which keeps its digits near 1 and -1."""
    one = emit.scalar(1.0, x)
    left = emit.op("Sub", one, x) if sign > 0 else emit.op("Sub", x, one)
    return emit.op("Mul", left, emit.op("Add", one, x), role="product")


def _over_root(emit: Emitter, grad: Adjoint, square: ir.Value, factor: float = 1.0) -> Adjoint:
    return Adjoint(emit.op("Div", grad.value, emit.op("Sqrt", square, role="root")), factor)


@vjp("Asin", since=7)
def asin(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g / sqrt(1 - x^2)``; infinite at 1 and -1, as in PyTorch."""
    return [_over_root(emit, grad, _cofactors(emit, only_input(node), 1.0))]


@vjp("Acos", since=7)
def acos(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``-g / sqrt(1 - x^2)``; infinite at 1 and -1, as in PyTorch."""
    return [_over_root(emit, grad, _cofactors(emit, only_input(node), 1.0), -1.0)]


@vjp("Asinh", since=9)
def asinh(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g / sqrt(x^2 + 1)``."""
    return [_over_root(emit, grad, _squared_plus_one(emit, only_input(node)))]


@vjp("Acosh", since=9)
def acosh(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g / sqrt(x^2 - 1)``; infinite at 1, as in PyTorch."""
    return [_over_root(emit, grad, _cofactors(emit, only_input(node), -1.0))]


@vjp("Atan", since=7)
def atan(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g / (1 + x^2)``."""
    return [emit.op("Div", grad.value, _squared_plus_one(emit, only_input(node)))]


@vjp("Atanh", since=9)
def atanh(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g / (1 - x^2)``; infinite at 1 and -1, as in PyTorch."""
    return [emit.op("Div", grad.value, _cofactors(emit, only_input(node), 1.0))]


@vjp("Sinh", since=9)
def sinh(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g * cosh(x)``."""
    return [emit.op("Mul", grad.value, emit.op("Cosh", only_input(node)))]


@vjp("Cosh", since=9)
def cosh(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g * sinh(x)``."""
    return [emit.op("Mul", grad.value, emit.op("Sinh", only_input(node)))]


@vjp("Tan", since=7)
def tan(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g (1 + y^2)``."""
    return [emit.op("Mul", grad.value, _squared_plus_one(emit, node.outputs[0]))]


@vjp("Celu", since=12)
def celu(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g`` where positive, else ``g (y / alpha + 1) = g e^(x / alpha)``."""
    y = node.outputs[0]
    rate = emit.scalar(1.0 / float_attribute(node, "alpha", 1.0), y)
    slope = emit.op("Add", emit.op("Mul", y, rate), emit.scalar(1.0, y), role="slope")
    return [where(emit, above(emit, y), grad.value, emit.op("Mul", grad.value, slope))]


@vjp("ThresholdedRelu", since=10)
def thresholded_relu(
    emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed
) -> Sequence[Result]:
    """``g`` where the input is above ``alpha``; 0 at ``alpha``, as PyTorch's ``threshold``."""
    alpha = float_attribute(node, "alpha", 1.0)
    return [where(emit, above(emit, only_input(node), alpha), grad.value)]


@vjp("Shrink", since=9)
def shrink(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g`` where ``|x| > lambd``, else 0, at the bounds too, as PyTorch's shrinkages."""
    x = only_input(node)
    size = emit.op("Abs", x, role="size", shape=dims_of(x))
    return [where(emit, above(emit, size, float_attribute(node, "lambd", 0.5)), grad.value)]


@vjp("Mean", since=8, lazy=True, broadcasts=True)
def mean(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g / count`` for each of the ``count`` inputs."""
    part = Adjoint(grad.value, 1.0 / len(node.inputs), grad.spread)
    return [part if wanted else None for wanted in needed]


def _truncated(node: ir.Node) -> str | None:
    if not int_attribute(node, "fmod", 0):
        return "ONNX defines fmod=0 for integers only; set fmod=1, or write x - m * Floor(x / m)"
    return None


@vjp("Mod", since=10, lazy=True, broadcasts=True, check=_truncated)
def remainder(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g`` and ``-g (x - y) / m``: how often the modulus m was taken away, a whole number."""
    if not needed[1]:
        return [grad, None]
    x, modulus, y = only_input(node), only_input(node, 1), node.outputs[0]
    count = emit.op("Div", emit.op("Sub", x, y), modulus, role="count")
    count = emit.op("Round", count, role="count", shape=dims_of(y))
    taken = times(emit, grad, count, len(dims_of(y)))
    return [grad if needed[0] else None, Adjoint(taken.value, -1.0, taken.spread)]
