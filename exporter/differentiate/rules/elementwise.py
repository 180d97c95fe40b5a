"""Functions of one element or of several, with broadcasting: arithmetic, powers, trigonometry."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from ...graph.attributes import float_attribute, int_attribute, only_input
from ...graph.emitter import Emitter, constant_of, dims_of
from ..adjoint import Adjoint, OneHot, Result
from ..registry import Needed, vjp
from ..support.values import above, gate, kept, settled, times, where


def _rank(node: ir.Node) -> int:
    return len(dims_of(node.outputs[0]))


@vjp("Identity", since=1, lazy=True, quantised=True)
def identity(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """The cotangent itself."""
    return [grad]


def _in_inference(node: ir.Node) -> str | None:
    mode = node.inputs[2] if len(node.inputs) > 2 else None
    known = constant_of(mode)
    if mode is not None and (known is None or known.item()):
        return "training_mode has no gradient rule; export the model in eval mode"
    return None


@vjp("Dropout", since=13, inputs=(0,), lazy=True, check=_in_inference)
def dropout(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """The cotangent itself: in inference mode dropout does nothing."""
    return [grad]


@vjp("Cast", since=9, lazy=True)
@vjp("CastLike", since=15, lazy=True)
def cast(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """The cotangent in the input's type."""
    kind = only_input(node).dtype
    assert kind is not None
    value = emit.op("Cast", grad.value, dtype=kind, to=int(kind))
    return [Adjoint(value, spread=grad.spread)]


def _add_selection(
    emit: Emitter, node: ir.Node, seed: OneHot, needed: Needed
) -> Sequence[Result | OneHot] | None:
    """Class maps that are added up: the same selection for each of them."""
    dims = dims_of(node.outputs[0])
    if any(wanted and dims_of(only_input(node, i)) != dims for i, wanted in enumerate(needed)):
        return None
    return [seed if wanted else None for wanted in needed]


@vjp("Add", "Sum", since=7, lazy=True, broadcasts=True, selection=_add_selection)
def add(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """The cotangent itself for each summand."""
    return [grad if wanted else None for wanted in needed]


@vjp("Sub", since=7, lazy=True, broadcasts=True)
def sub(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g`` and ``-g``."""
    return [grad, Adjoint(grad.value, -1.0, grad.spread)]


@vjp("Neg", since=6, lazy=True)
def neg(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``-g``."""
    return [Adjoint(grad.value, -1.0, grad.spread)]


@vjp("Mul", since=7, lazy=True, broadcasts=True)
def mul(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g * other factor``."""
    a, b, out = only_input(node, 0), only_input(node, 1), node.outputs[0]
    return [
        times(emit, settled(emit, grad, other, out), other, _rank(node)) if wanted else None
        for other, wanted in zip((b, a), needed, strict=True)
    ]


@vjp("Div", since=7, lazy=True, broadcasts=True)
def div(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g / b`` and ``-g * y / b``."""
    divisor = only_input(node, 1)
    rank = _rank(node)
    grad = settled(emit, grad, divisor, node.outputs[0])
    top = Adjoint(emit.op("Div", grad.value, divisor), spread=kept(grad, divisor, rank))
    if not needed[1]:
        return [top, None]
    bottom = times(emit, top, node.outputs[0], rank)
    return [top if needed[0] else None, Adjoint(bottom.value, -1.0, bottom.spread)]


@vjp("Pow", since=7, broadcasts=True)
def power(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g * p * x^(p-1)`` and ``g * y * ln x``, where ``0 * ln 0`` counts as 0, as in PyTorch."""
    base, exponent = only_input(node, 0), only_input(node, 1)
    kind = base.dtype
    assert kind is not None
    results: list[Result] = [None, None]
    if needed[0]:
        number = exponent
        if exponent.dtype is not kind:
            number = emit.op("Cast", exponent, dtype=kind, shape=dims_of(exponent), to=int(kind))
        less = emit.op("Sub", number, emit.scalar(1.0, base), role="exponent")
        slope = emit.op("Mul", number, emit.op("Pow", base, less), role="slope")
        # 0 * 0^(-1) would be NaN where the exponent is 0.
        flat = emit.op("Equal", number, emit.scalar(0.0, base), dtype=ir.DataType.BOOL)
        results[0] = emit.op("Mul", grad.value, where(emit, flat, emit.scalar(0.0, base), slope))
    if needed[1]:
        nothing = emit.op("Equal", base, emit.scalar(0.0, base), dtype=ir.DataType.BOOL)
        rising = emit.op(
            "GreaterOrEqual", exponent, emit.scalar(0.0, exponent), dtype=ir.DataType.BOOL
        )
        flat = emit.op("And", nothing, rising, role="flat")
        slope = emit.op("Mul", node.outputs[0], emit.op("Log", base), role="slope")
        results[1] = emit.op("Mul", grad.value, where(emit, flat, emit.scalar(0.0, base), slope))
    return results


@vjp("Exp", since=6)
def exp(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g * y``."""
    return [emit.op("Mul", grad.value, node.outputs[0])]


@vjp("Log", since=6)
def log(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g / x``."""
    return [emit.op("Div", grad.value, only_input(node))]


@vjp("Sqrt", since=6)
def sqrt(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g / (2 y)``."""
    return [Adjoint(emit.op("Div", grad.value, node.outputs[0]), 0.5)]


@vjp("Reciprocal", since=6)
def reciprocal(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``-g y^2``."""
    y = node.outputs[0]
    return [Adjoint(emit.op("Mul", grad.value, emit.op("Mul", y, y, role="square")), -1.0)]


@vjp("Abs", since=6)
def absolute(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g * sign(x)``; 0 at 0, as in PyTorch."""
    return [emit.op("Mul", grad.value, emit.op("Sign", only_input(node)))]


@vjp("Erf", since=9)
def erf(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g * 2 / sqrt(pi) * exp(-x^2)``."""
    x = only_input(node)
    bell = emit.op("Exp", emit.op("Neg", emit.op("Mul", x, x, role="square")), role="bell")
    return [Adjoint(emit.op("Mul", grad.value, bell), 2.0 / math.sqrt(math.pi))]


@vjp("Sin", since=7)
def sin(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g * cos(x)``."""
    return [emit.op("Mul", grad.value, emit.op("Cos", only_input(node)))]


@vjp("Cos", since=7)
def cos(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``-g * sin(x)``."""
    return [Adjoint(emit.op("Mul", grad.value, emit.op("Sin", only_input(node))), -1.0)]


@vjp("Where", since=9, inputs=(1, 2), broadcasts=True)
def choose(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """The cotangent goes to the side that was chosen."""
    condition, nothing = only_input(node), emit.scalar(0.0, grad.value)
    return [
        None,
        where(emit, condition, grad.value) if needed[1] else None,
        where(emit, condition, nothing, grad.value) if needed[2] else None,
    ]


@vjp("Max", "Min", since=8, broadcasts=True)
def extreme(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """Inputs that reach the extreme share the cotangent evenly (half each for two, as PyTorch)."""
    y = node.outputs[0]
    inputs = [only_input(node, index) for index in range(len(node.inputs))]
    kind = y.dtype
    assert kind is not None
    reach = [
        emit.op("Cast", emit.op("Equal", x, y, dtype=ir.DataType.BOOL), dtype=kind, to=int(kind))
        for x in inputs
    ]
    count = reach[0]
    for one in reach[1:]:
        count = emit.op("Add", count, one, role="ties")
    share = emit.op("Div", grad.value, count, role="share")
    return [
        emit.op("Mul", share, one) if wanted else None
        for one, wanted in zip(reach, needed, strict=True)
    ]


@vjp("Clip", since=11, inputs=(0,))
def clip(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g`` strictly between the bounds, 0 elsewhere.

    At a bound that is the subgradient of least norm, which PyTorch takes for relu6, hardtanh and
    (since pytorch/pytorch#184574) clamp. The mask can read the output, which is between the bounds
    where the input is.
    """
    y = node.outputs[0]
    low, high = (node.inputs[i] if i < len(node.inputs) else None for i in (1, 2))
    masks = [
        emit.op(compare, y, _bound(emit, bound, y), role="inside", dtype=ir.DataType.BOOL)
        for compare, bound in (("Greater", low), ("Less", high))
        if bound is not None
    ]
    if not masks:
        return [grad]
    inside = masks[0] if len(masks) == 1 else emit.op("And", *masks, role="inside")
    return [where(emit, inside, grad.value)]


def _bound(emit: Emitter, bound: ir.Value, y: ir.Value) -> ir.Value:
    """A bound of a clip behind a gate, where it is a constant."""
    known = constant_of(bound)
    return bound if known is None else gate(emit, float(known.reshape(())), y)


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
