"""SiLU and GELU, as one operator or written out: ``x`` times a gate that is computed from ``x``.

Written out they are a diamond of five small operators. Walked one by one it costs ten passes over
tensors of K classes, and reading what lies inside keeps ONNX Runtime from fusing the forward part.
So a diamond is recognised by its end, and its slope is computed from ``x`` alone, once for all
classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import TypeAlias

import onnx_ir as ir

from ...graph.attributes import only_input, string_attribute
from ...graph.emitter import Emitter, constant_of, dims_of
from ..adjoint import Adjoint, Result
from ..registry import Needed, vjp
from ..support.values import gate

Slope: TypeAlias = Callable[[Emitter, ir.Value], ir.Value]

_TOLERANCE = 1e-6  # constants are float32


@dataclass(frozen=True)
class Diamond:
    """A self-gated activation written out.

    Attributes:
        x: Where it begins.
        y: Where it ends.
        inner: The nodes before the one that gives ``y``.
        slope: From ``x`` to ``dy / dx``.
    """

    x: ir.Value
    y: ir.Value
    inner: frozenset[ir.Node]
    slope: Slope


def diamond(
    node: ir.Node, active: Collection[ir.Node], kept: Collection[ir.Value]
) -> Diamond | None:
    """The self-gated activation that ``node`` ends, or None.

    Args:
        node: A Mul.
        active: Nodes that cotangents go through. None of them may read what lies inside but the
            diamond itself.
        kept: Values whose cotangent is wanted.
    """
    found = _Factors(node)
    if len(found.leaves) != 2:
        return None
    for x, end in (found.leaves, found.leaves[::-1]):
        made = _gate_of(x, end)
        if made is None:
            continue
        scale, chain, slope = made
        inner = frozenset([*found.inner, *chain])
        close = math.isclose(scale * found.scale, 1.0, rel_tol=_TOLERANCE)
        whole = len(dims_of(x)) == len(dims_of(node.outputs[0]))
        if close and whole and _closed(node, inner, active, kept):
            return Diamond(x, node.outputs[0], inner, slope)
    return None


class _Factors:
    """A product of products and constants: what is multiplied."""

    def __init__(self, node: ir.Node) -> None:
        self.leaves: list[ir.Value] = []
        self.scale = 1.0
        self.inner: list[ir.Node] = []
        self._read(node)

    def _read(self, node: ir.Node) -> None:
        for value in node.inputs:
            assert value is not None
            number, producer = _scalar(value), value.producer()
            if number is not None:
                self.scale *= number
            elif producer is not None and producer.op_type == "Mul" and _alone(value):
                self.inner.append(producer)
                self._read(producer)
            else:
                self.leaves.append(value)


def _gate_of(x: ir.Value, end: ir.Value) -> tuple[float, list[ir.Node], Slope] | None:
    """Whether ``end`` is the gate of ``x``: its height, its nodes and the slope of the product."""
    last = end.producer()
    if last is None:
        return None
    if last.op_type == "Sigmoid" and last.inputs[0] is x:
        return 1.0, [last], silu_slope
    shifted = _with_scalar(last, "Add")
    erf = None if shifted is None else shifted[0].producer()
    if shifted is None or erf is None or erf.op_type != "Erf" or shifted[1] != 1.0:
        return None
    inner = only_input(erf).producer()
    scaled = None if inner is None else _with_scalar(inner, "Mul") or _divided(inner)
    if inner is None or scaled is None or scaled[0] is not x:
        return None
    if not math.isclose(scaled[1], math.sqrt(0.5), rel_tol=_TOLERANCE):
        return None
    return 2.0, [last, erf, inner], gelu_slope


def _with_scalar(node: ir.Node, op_type: str) -> tuple[ir.Value, float] | None:
    """The operand and the constant of a commutative operator with a scalar."""
    if node.op_type != op_type or len(node.inputs) != 2:
        return None
    for index in (0, 1):
        value, number = node.inputs[1 - index], _scalar(node.inputs[index])
        if number is not None and value is not None:
            return value, number
    return None


def _divided(node: ir.Node) -> tuple[ir.Value, float] | None:
    """The operand of a division by a scalar, and the scalar's inverse."""
    if node.op_type != "Div":
        return None
    number = _scalar(node.inputs[1])
    return None if not number else (only_input(node), 1.0 / number)


def _scalar(value: ir.Value | None) -> float | None:
    array = constant_of(value)
    return float(array.reshape(())) if array is not None and array.size == 1 else None


def _alone(value: ir.Value) -> bool:
    return len(value.consumers()) == 1


def _closed(
    node: ir.Node,
    inner: Collection[ir.Node],
    active: Collection[ir.Node],
    kept: Collection[ir.Value],
) -> bool:
    """Whether cotangents reach the inner values through the diamond only."""
    return not any(
        value in kept
        or any(reader in active and reader not in inner and reader is not node
               for reader in value.consumers())
        for part in inner
        for value in part.outputs
    )  # fmt: skip


def silu_slope(emit: Emitter, x: ir.Value) -> ir.Value:
    """``s (1 + x (1 - s))`` with ``s = sigmoid(x)``, computed anew.

    To read the forward's own sigmoid would keep ONNX Runtime from fusing it with the product, and
    to read ``y`` too would cost a copy from its blocked layout; both cost more than these passes.
    """
    x = emit.op("Mul", x, gate(emit, 1.0, x), role="x")
    s, one = emit.op("Sigmoid", x), emit.scalar(1.0, x)
    bend = emit.op("Mul", x, emit.op("Sub", one, s, role="rest"), role="bend")
    return emit.op("Mul", s, emit.op("Add", bend, one), role="slope")


def gelu_slope(emit: Emitter, x: ir.Value) -> ir.Value:
    """``Phi(x) + x phi(x)`` with the normal distribution: ``(1 + erf(u)) / 2 + u bell / sqrt(pi)``.

    ``u = x / sqrt(2)``; the bell's height is put into its exponent, which saves a pass.
    """
    u = emit.op("Mul", x, gate(emit, math.sqrt(0.5), x), role="u")
    height = emit.scalar(-0.5 * math.log(math.pi), x)
    bell = emit.op("Exp", emit.op("Sub", height, emit.op("Mul", u, u)), role="bell")
    half = emit.scalar(0.5, x)
    erf = emit.op("Erf", u)
    phi = emit.op("Add", emit.op("Mul", erf, half), half, role="gate")
    return emit.op("Add", phi, emit.op("Mul", u, bell), role="slope")


@vjp("Gelu", since=20)
def gelu(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g (Phi(x) + x phi(x))``, or the derivative of the tanh approximation."""
    x = only_input(node)
    exact = string_attribute(node, "approximate", "none") == "none"
    slope = gelu_slope(emit, x) if exact else _tanh_slope(emit, x)
    return [emit.op("Mul", grad.value, slope)]


def _tanh_slope(emit: Emitter, x: ir.Value) -> ir.Value:
    square, half = emit.op("Mul", x, x, role="square"), emit.scalar(0.5, x)
    root, cubic = math.sqrt(2 / math.pi), 0.044715
    line = emit.op("Mul", square, emit.scalar(cubic, x))
    line = emit.op("Add", line, emit.scalar(1.0, x))
    inner = emit.op("Tanh", emit.op("Mul", emit.op("Mul", x, line), emit.scalar(root, x)))
    flat = emit.op("Sub", emit.scalar(1.0, x), emit.op("Mul", inner, inner, role="square"))
    rate = emit.op("Mul", square, emit.scalar(3 * cubic * root / 2, x))
    rate = emit.op("Add", rate, emit.scalar(root / 2, x))
    bend = emit.op("Mul", emit.op("Mul", x, flat), rate)
    phi = emit.op("Add", emit.op("Mul", inner, half), half, role="gate")
    return emit.op("Add", phi, bend, role="slope")
