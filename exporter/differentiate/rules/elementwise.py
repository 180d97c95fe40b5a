"""These rules differentiate elementwise functions: arithmetic, powers, trigonometry."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, constant_of, dims_of
from ...graph.torch_notes import rests_at_zero
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.values import below_zero, both, input_of, output_of


@vjp("Identity", since=1, lazy=True, quantised=True)
def identity(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent itself."""
    return [g]


def _in_inference(node: ir.Node) -> str | None:
    mode = node.inputs[2] if len(node.inputs) > 2 else None
    known = constant_of(mode)
    if mode is not None and (known is None or known.item()):
        return "training_mode has no gradient rule; export the model in eval mode"
    return None


@vjp("Dropout", since=13, inputs=(0,), lazy=True, check=_in_inference)
def dropout(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent itself: in inference mode dropout does nothing."""
    return [g]


@vjp("Cast", since=9, lazy=True)
@vjp("CastLike", since=15, lazy=True)
def cast(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent in the input's type."""
    kind = only_input(node).dtype
    assert kind is not None
    return [g.through(Emitter.cast, kind)]


def _add_selection(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents | None:
    """Class maps that are added up: the same selection for each of them."""
    dims = dims_of(node.outputs[0])
    if any(asked and dims_of(only_input(node, i)) != dims for i, asked in enumerate(needed)):
        return None
    return [g for _ in needed]


@vjp("Add", "Sum", since=7, lazy=True, broadcasts=True, selection=_add_selection)
def add(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent itself for each summand."""
    return [g for _ in needed]


@vjp("Sub", since=7, lazy=True, broadcasts=True)
def sub(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` and ``-g``."""
    return [g, -g]


@vjp("Neg", since=6, lazy=True)
def neg(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``-g``."""
    return [-g]


@vjp("Mul", since=7, lazy=True, broadcasts=True)
def mul(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g b`` and ``g a``."""
    a, b = only_input(node, 0), only_input(node, 1)
    return [g * b if needed[0] else None, g * a if needed[1] else None]


def _open_divisor(node: ir.Node) -> bool:
    """Whether the divisor may be zero."""
    divisor = constant_of(node.inputs[1])
    return divisor is None or not bool(np.all(divisor))


@vjp("Div", since=7, lazy=True, broadcasts=True, unbounded=_open_divisor)
def div(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g / b`` and ``-g y / b``."""
    top = g / only_input(node, 1)
    return [top, -top * node.outputs[0] if needed[1] else None]


def _root(node: ir.Node) -> bool:
    """Whether the exponent may be below 1, where the derivative at 0 is infinite."""
    exponent = constant_of(node.inputs[1])
    return exponent is None or bool(np.less(exponent, 1).any())


def _infinite_at_zero(node: ir.Node) -> bool:
    return _root(node) and not rests_at_zero(node)


@vjp("Pow", since=7, broadcasts=True, unbounded=_infinite_at_zero)
def power(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g p x^(p-1)`` and ``g y ln x``, where ``0 ln 0`` counts as 0, as in PyTorch.

    The root of a norm that PyTorch exported is 0 at 0, as its own gradient.
    """
    x, exponent, y = input_of(emit, node), input_of(emit, node, 1), output_of(emit, node)
    assert x.value.dtype is not None
    zero = x.of(0.0)
    by_base = by_exponent = None
    p = x.of(emit.cast(exponent.value, x.value.dtype))
    if needed[0] and _root(node) and rests_at_zero(node):
        by_base = (g * (p * x.without_zeros() ** (p - 1.0))).unless(x.equals(0.0))
    elif needed[0]:
        # 0 * 0^(-1) would be NaN where the exponent is 0.
        by_base = g * zero.where(p.equals(0.0), p * x ** (p - 1.0))
    if needed[1]:
        rising = exponent.compared("GreaterOrEqual", 0.0)
        flat = both(emit, x.equals(0.0), rising)
        by_exponent = g * zero.where(flat, y * x.op("Log"))
    return [by_base, by_exponent]


@vjp("Exp", since=6)
def exp(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g y``."""
    return [g * node.outputs[0]]


@vjp("Log", since=6, unbounded=True)
def log(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g / x``."""
    return [g / only_input(node)]


@vjp("Sqrt", since=6, unbounded=lambda node: not rests_at_zero(node))
def sqrt(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g / (2 y)``; 0 at 0 for a standard deviation that PyTorch exported, as its own gradient."""
    y = output_of(emit, node)
    if rests_at_zero(node):
        return [(g / y.without_zeros() * 0.5).unless(y.equals(0.0))]
    return [g / y * 0.5]


@vjp("Reciprocal", since=6, unbounded=True)
def reciprocal(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``-g y^2``."""
    return [-g * output_of(emit, node).squared()]


@vjp("Abs", since=6)
def absolute(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g sign(x)``; 0 at 0, as in PyTorch."""
    return [g * input_of(emit, node).op("Sign")]


@vjp("Erf", since=9)
def erf(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g exp(-x^2) * 2 / sqrt(pi)``."""
    x = input_of(emit, node)
    return [g * (-x.squared()).op("Exp") * (2.0 / math.sqrt(math.pi))]


@vjp("Sin", since=7)
def sin(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g cos(x)``."""
    return [g * input_of(emit, node).op("Cos")]


@vjp("Cos", since=7)
def cos(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``-g sin(x)``."""
    return [-g * input_of(emit, node).op("Sin")]


@vjp("Where", since=9, inputs=(1, 2), broadcasts=True)
def choose(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent goes to the side that was chosen."""
    condition = only_input(node)
    return [
        None,
        g.where(condition) if needed[1] else None,
        g.unless(condition) if needed[2] else None,
    ]


@vjp("Asin", since=7, unbounded=True)
def asin(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g / sqrt(1 - x^2)``; infinite at 1 and -1, as in PyTorch."""
    x = input_of(emit, node)
    # As a product, which keeps its digits near 1 and -1; so below.
    return [g / ((1.0 - x) * (1.0 + x)).op("Sqrt")]


@vjp("Acos", since=7, unbounded=True)
def acos(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``-g / sqrt(1 - x^2)``; infinite at 1 and -1, as in PyTorch."""
    x = input_of(emit, node)
    return [-g / ((1.0 - x) * (1.0 + x)).op("Sqrt")]


@vjp("Asinh", since=9)
def asinh(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g / sqrt(x^2 + 1)``."""
    return [g / (input_of(emit, node).squared() + 1.0).op("Sqrt")]


@vjp("Acosh", since=9, unbounded=True)
def acosh(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g / sqrt(x^2 - 1)``; infinite at 1, as in PyTorch."""
    x = input_of(emit, node)
    return [g / ((x - 1.0) * (1.0 + x)).op("Sqrt")]


@vjp("Atan", since=7)
def atan(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g / (x^2 + 1)``."""
    return [g / (input_of(emit, node).squared() + 1.0)]


@vjp("Atanh", since=9, unbounded=True)
def atanh(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g / (1 - x^2)``; infinite at 1 and -1, as in PyTorch."""
    x = input_of(emit, node)
    return [g / ((1.0 - x) * (1.0 + x))]


@vjp("Sinh", since=9)
def sinh(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g cosh(x)``."""
    return [g * input_of(emit, node).op("Cosh")]


@vjp("Cosh", since=9)
def cosh(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g sinh(x)``."""
    return [g * input_of(emit, node).op("Sinh")]


@vjp("Tan", since=7, unbounded=True)
def tan(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g (y^2 + 1)``."""
    return [g * (output_of(emit, node).squared() + 1.0)]


@vjp("Celu", since=12, lazy=True)
def celu(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` where positive, else ``g (y / alpha + 1) = g e^(x / alpha)``."""
    y, rate = output_of(emit, node), 1.0 / node.attributes.get_float("alpha", 1.0)
    return [g * (below_zero(y) * rate + 1.0)]


@vjp("ThresholdedRelu", since=10, lazy=True)
def thresholded_relu(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` where the input is above ``alpha``; 0 at ``alpha``, as PyTorch's ``threshold``."""
    return [g.where(input_of(emit, node).above(node.attributes.get_float("alpha", 1.0)))]


@vjp("Shrink", since=9, lazy=True)
def shrink(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` where ``|x| > lambd``, else 0, at the bounds too, as PyTorch's shrinkages."""
    x = input_of(emit, node)
    size = x.op("Abs", shape=dims_of(x.value))
    return [g.where(size.above(node.attributes.get_float("lambd", 0.5)))]


@vjp("Mean", since=8, lazy=True, broadcasts=True)
def mean(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g / count`` for each of the ``count`` inputs."""
    return [g / len(node.inputs) for _ in needed]


def _truncated(node: ir.Node) -> str | None:
    if not node.attributes.get_int("fmod", 0):
        return "ONNX defines fmod=0 for integers only; set fmod=1, or write x - m * Floor(x / m)"
    return None


@vjp("Mod", since=10, lazy=True, broadcasts=True, check=_truncated)
def remainder(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` and ``-g (x - y) / m``: how often the modulus m was taken away, a whole number."""
    if not needed[1]:
        return [g, None]
    x, modulus, y = input_of(emit, node), input_of(emit, node, 1), output_of(emit, node)
    count = ((x - y) / modulus).op("Round", shape=dims_of(y.value))
    return [g, -g * count]
