"""These rules differentiate SiLU and GELU, ``x`` times a gate of ``x``, also where written out.

Written out they are five small operators between ``x`` and a product. Walked one by one they cost
ten passes over tensors of K classes, and reading the values inside prevents ONNX Runtime from
fusing the forward part. So such an activation is recognised by its end, and its slope is computed
from ``x`` alone, once for all classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from dataclasses import dataclass
from typing import TypeAlias

import onnx_ir as ir

from ...graph.attributes import only_input, string_attribute
from ...graph.emitter import Emitter, constant_of, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.tensor import Tensor, input_of

Slope: TypeAlias = Callable[[Tensor], Tensor]

_TOLERANCE = 1e-6  # constants are float32


@dataclass(frozen=True)
class SelfGated:
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


def self_gated(
    node: ir.Node, active: Collection[ir.Node], targets: Collection[ir.Value]
) -> SelfGated | None:
    """The self-gated activation that ``node`` ends, or None.

    Args:
        node: A Mul.
        active: Nodes that cotangents go through. Only the activation's own nodes may read the
            values inside.
        targets: Values whose own cotangent is needed.
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
        if close and whole and _closed(node, inner, active, targets):
            return SelfGated(x, node.outputs[0], inner, slope)
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
    targets: Collection[ir.Value],
) -> bool:
    """Whether cotangents reach the inner values through the activation only."""
    return not any(
        value in targets
        or any(reader in active and reader not in inner and reader is not node
               for reader in value.consumers())
        for part in inner
        for value in part.outputs
    )  # fmt: skip


def silu_slope(x: Tensor) -> Tensor:
    """``s (x (1 - s) + 1)`` with ``s = sigmoid(x)``, computed anew.

    Reading the forward's own sigmoid would prevent ONNX Runtime from fusing it with the product,
    and reading ``y`` too would need a copy from its blocked layout; both cost more than these
    passes.
    """
    x = x * x.number(1.0)
    s = x.op("Sigmoid")
    return s * (x * (1.0 - s) + 1.0)


def gelu_slope(x: Tensor) -> Tensor:
    """``Phi(x) + x phi(x)`` with the normal distribution: ``(erf(u) + 1) / 2 + u bell / sqrt(pi)``.

    ``u = x / sqrt(2)``; the bell's height is put into its exponent, which saves a pass.
    """
    u = x * x.number(math.sqrt(0.5))
    bell = (-0.5 * math.log(math.pi) - u.squared()).op("Exp")
    return u.op("Erf") * 0.5 + 0.5 + u * bell


@vjp("Gelu", since=20)
def gelu(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g (Phi(x) + x phi(x))``, or the derivative of the tanh approximation."""
    x = input_of(emit, node)
    exact = string_attribute(node, "approximate", "none") == "none"
    return [g * (gelu_slope(x) if exact else _tanh_slope(x))]


def _tanh_slope(x: Tensor) -> Tensor:
    """``(t + 1) / 2 + x (1 - t^2) u' / 2`` with ``t = tanh(u)``, ``u = x (x^2 cubic + 1) root``."""
    root, cubic = math.sqrt(2 / math.pi), 0.044715
    square = x.squared()
    t = (x * (square * cubic + 1.0) * root).op("Tanh")
    rate = square * (3 * cubic * root / 2) + root / 2
    return t * 0.5 + 0.5 + x * (1.0 - t.squared()) * rate
