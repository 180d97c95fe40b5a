"""These rules differentiate SiLU and GELU, ``x`` times a gate of ``x``, also where written out.

Written out they are five small operators between ``x`` and a product. Walked one by one they cost
ten passes over tensors of K classes, and reading the values inside prevents ONNX Runtime from
fusing the forward part. So such an activation is recognised by its end, and its slope is computed
from its input and output alone, once for all classes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection
from typing import TypeAlias

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, constant_of, dims_of
from ...graph.expression import Expression
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.values import input_of

# From an activation's input and output.
Slope: TypeAlias = Callable[[Expression, Expression], Expression]

_TOLERANCE = 1e-6  # constants are float32


def self_gated(
    node: ir.Node, active: Collection[ir.Node], targets: Collection[ir.Value]
) -> tuple[ir.Value, Slope] | None:
    """Where the self-gated activation that ``node`` ends begins, and its slope, or None.

    Args:
        node: A Mul.
        active: Nodes that cotangents go through. Only the activation's own nodes may read the
            values inside.
        targets: Values whose own cotangent is needed.
    """
    leaves, scale, products = _factors(node)
    if len(leaves) != 2:
        return None
    for x, end in (leaves, leaves[::-1]):
        made = _gate_of(x, end)
        if made is None:
            continue
        height, chain, slope = made
        close = math.isclose(height * scale, 1.0, rel_tol=_TOLERANCE)
        whole = len(dims_of(x)) == len(dims_of(node.outputs[0]))
        if close and whole and _closed(node, {*products, *chain}, active, targets):
            return x, slope
    return None


def _factors(node: ir.Node) -> tuple[list[ir.Value], float, list[ir.Node]]:
    """What a product of products multiplies: values, the product of its constants; its nodes."""
    leaves: list[ir.Value] = []
    products: list[ir.Node] = [node]
    scale = 1.0
    for value in (only_input(node, index) for index in range(len(node.inputs))):
        number, producer = _scalar(value), value.producer()
        if number is not None:
            scale *= number
        elif producer is not None and producer.op_type == "Mul" and len(value.consumers()) == 1:
            inner = _factors(producer)
            leaves, scale, products = leaves + inner[0], scale * inner[1], products + inner[2]
        else:
            leaves.append(value)
    return leaves, scale, products


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
    return 2.0, [last, erf, inner], lambda x, _: gelu_slope(x)


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


def _closed(
    node: ir.Node, own: set[ir.Node], active: Collection[ir.Node], targets: Collection[ir.Value]
) -> bool:
    """Whether cotangents reach the values inside, of nodes ``own``, through ``node`` only."""
    values = [value for part in own - {node} for value in part.outputs]
    readers = {reader for value in values for reader in value.consumers()}
    return not any(value in targets for value in values) and not readers & set(active) - own


def silu_slope(x: Expression, y: Expression) -> Expression:
    """``y + s (1 - y)`` with ``s = sigmoid(x)``, computed again.

    Reading the forward's own sigmoid would prevent ONNX Runtime from fusing it with the product.
    """
    s = (x * x.number(1.0)).op("Sigmoid")
    return s * (y.number(1.0) - y) + y


def gelu_slope(x: Expression) -> Expression:
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
    exact = node.attributes.get_string("approximate", "none") == "none"
    return [g * (gelu_slope(x) if exact else _tanh_slope(x))]


def _tanh_slope(x: Expression) -> Expression:
    """``(t + 1) / 2 + x (1 - t^2) u' / 2`` with ``t = tanh(u)``, ``u = x (x^2 cubic + 1) root``."""
    root, cubic = math.sqrt(2 / math.pi), 0.044715
    square = x.squared()
    t = (x * (square * cubic + 1.0) * root).op("Tanh")
    rate = square * (3 * cubic * root / 2) + root / 2
    return t * 0.5 + 0.5 + x * (1.0 - t.squared()) * rate
