"""These rules differentiate operators that make a tensor of a few numbers: Range and OneHot."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp


@vjp("Range", since=11)
def arithmetic_range(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``sum(g)`` for the start and ``sum(i g)`` for the step; none for the limit.

    The limit decides how many numbers there are, and nothing else.
    """
    start = g.op("ReduceSum", [1], role="total", keepdims=0) if needed[0] else None
    if not needed[2]:
        return [start]
    count = emit.op("Squeeze", emit.extents(node.outputs[0]), role="count", shape=[])
    steps = emit.op("Range", 0, count, 1, role="steps")
    steps = emit.cast(steps, node.outputs[0].dtype, "steps")
    return [start, None, (g * steps).op("ReduceSum", [1], role="total", keepdims=0)]


@vjp("OneHot", since=9)
def one_hot(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """For the values ``[off, on]`` the sums of the cotangent at their places.

    None for the indices and the depth: the output is constant between whole numbers.
    """
    if not needed[2]:
        return []
    y, axis = node.outputs[0], node.attributes.get_int("axis", -1)
    places, depth = only_input(node), only_input(node, 1)
    over = emit.ints(range(1, 1 + len(dims_of(y))))
    sums: list[ir.Value] = []
    for off, on in ((1.0, 0.0), (0.0, 1.0)):
        values = emit.constant([off, on], y.dtype)
        mask = emit.op("OneHot", places, depth, values, role="mask", axis=axis)
        total = (g * mask).op("ReduceSum", over, role="total", keepdims=0)
        sums.append(emit.op("Unsqueeze", total.value, [1], role="total"))
    return [None, None, g.with_value(emit.op("Concat", *sums, axis=1))]
