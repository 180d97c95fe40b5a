"""These rules differentiate what chooses among elements: maxima, minima and clips."""

from __future__ import annotations

import operator
from functools import reduce

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, constant_of
from ...graph.expression import Expression
from ...graph.torch_notes import clamps_by_numbers, halves_at_bounds
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.values import both, input_of, output_of


@vjp("Max", "Min", since=8, broadcasts=True)
def extreme(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """Inputs that reach the extreme share the cotangent evenly (half each for two, as PyTorch).

    Of a clamp by numbers that PyTorch exported, the clamped input has none at its bound.
    """
    if clamps_by_numbers(node):
        x, inside = input_of(emit, node), "Greater" if node.op_type == "Max" else "Less"
        return [g.where(x.compared(inside, only_input(node, 1)))]
    y = output_of(emit, node)
    inputs = [input_of(emit, node, index) for index in range(len(node.inputs))]
    reach = [y.indicator(one.equals(y)) for one in inputs]
    share = g / reduce(operator.add, reach)
    return [share * one if asked else None for one, asked in zip(reach, needed, strict=True)]


@vjp("Clip", since=11, inputs=(0,), lazy=True)
def clip(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` strictly between the bounds, 0 elsewhere.

    At a bound that is the subgradient of least norm, which PyTorch takes for relu6, hardtanh and
    (since pytorch/pytorch#191142) clamp. The mask can read the output, which is between the bounds
    where the input is. A clamp by tensors that PyTorch exported gives half at one, as maxima do.
    """
    y = output_of(emit, node)
    low, high = (node.inputs[i] if i < len(node.inputs) else None for i in (1, 2))
    masks: list[ir.Value] = []
    if low is not None:
        known = _number(low)
        masks.append(y.exceeds(low) if known is None else y.above(known))
    if high is not None:
        known = _number(high)
        masks.append(y.below(high) if known is None else y.beneath(known))
    if not masks:
        return [g]
    if halves_at_bounds(node):
        slope = _halved(input_of(emit, node), low, high)
        return [g.where(slope.exceeds(0.0)) * slope]
    return [g.where(masks[0] if len(masks) == 1 else both(emit, *masks))]


def _halved(x: Expression, low: ir.Value | None, high: ir.Value | None) -> Expression:
    """1 between the bounds, 1/2 at them, 0 outside."""
    sides = ((low, "Greater", "GreaterOrEqual"), (high, "Less", "LessOrEqual"))
    found = [
        (x.indicator(x.compared(strict, bound)) + x.indicator(x.compared(loose, bound))) * 0.5
        for bound, strict, loose in sides
        if bound is not None
    ]
    return reduce(operator.mul, found)


def _number(bound: ir.Value) -> float | None:
    """A constant bound of a clip."""
    known = constant_of(bound)
    return None if known is None else float(known.reshape(()))
