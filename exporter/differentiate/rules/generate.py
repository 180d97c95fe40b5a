"""These rules differentiate operators that make a tensor of a few numbers: Range and OneHot."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.attributes import int_attribute, only_input
from ...graph.emitter import Emitter, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp


@vjp("Range", since=11)
def arithmetic_range(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``sum(g)`` for the start and ``sum(i g)`` for the step; none for the limit.

    The limit decides how many numbers there are, and nothing else.
    """
    y, over = node.outputs[0], emit.ints([1])
    start = delta = None
    if needed[0]:
        start = g.through(_total, over)
    if needed[2]:
        assert y.dtype is not None
        count = emit.op("Squeeze", emit.extents(y), role="count", shape=[])
        steps = emit.op("Range", emit.constant(0), count, emit.constant(1), role="steps")
        steps = emit.op("Cast", steps, role="steps", dtype=y.dtype, to=int(y.dtype))
        delta = (g * steps).through(_total, over)
    return [start, None, delta]


@vjp("OneHot", since=9)
def one_hot(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """For the values ``[off, on]`` the sums of the cotangent where each stands.

    None for the indices and the depth: the output is constant between whole numbers.
    """
    if not needed[2]:
        return []
    y, axis = node.outputs[0], int_attribute(node, "axis", -1)
    places, depth = only_input(node), only_input(node, 1)
    over = emit.ints(range(1, 1 + len(dims_of(y))))
    sums: list[ir.Value] = []
    for off, on in ((1.0, 0.0), (0.0, 1.0)):
        values = emit.constant([off, on], y.dtype)
        mask = emit.op("OneHot", places, depth, values, role="mask", dtype=y.dtype, axis=axis)
        total = (g * mask).through(_total, over).value
        sums.append(emit.op("Unsqueeze", total, emit.ints([1]), role="total"))
    return [None, None, g.with_value(emit.op("Concat", *sums, axis=1))]


def _total(emit: Emitter, value: ir.Value, axes: ir.Value) -> ir.Value:
    """The sum along ``axes``, which go away."""
    return emit.op("ReduceSum", value, axes, role="total", keepdims=0)
