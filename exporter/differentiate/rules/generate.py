"""Operators that lay a few numbers out as a tensor: Range and OneHot."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ...graph.attributes import int_attribute, only_input
from ...graph.emitter import Emitter, dims_of
from ..adjoint import Adjoint, Result
from ..registry import Needed, vjp


@vjp("Range", since=11)
def arithmetic_range(
    emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed
) -> Sequence[Result]:
    """``sum(g)`` for the start and ``sum(i g)`` for the step; none for the limit.

    The limit decides how many numbers there are, and nothing else.
    """
    y, over = node.outputs[0], emit.ints([1])
    start = delta = None
    if needed[0]:
        start = emit.op("ReduceSum", grad.value, over, role="start", keepdims=0)
    if needed[2]:
        assert y.dtype is not None
        count = emit.op("Squeeze", emit.extents(y), role="count", shape=[])
        steps = emit.op("Range", emit.constant(0), count, emit.constant(1), role="steps")
        steps = emit.op("Cast", steps, role="steps", dtype=y.dtype, to=int(y.dtype))
        weighted = emit.op("Mul", grad.value, steps, role="weighted")
        delta = emit.op("ReduceSum", weighted, over, role="step", keepdims=0)
    return [start, None, delta]


@vjp("OneHot", since=9)
def one_hot(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
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
        taken = emit.op("Mul", grad.value, mask, role="taken")
        total = emit.op("ReduceSum", taken, over, role="total", keepdims=0)
        sums.append(emit.op("Unsqueeze", total, emit.ints([1]), role="total"))
    return [None, None, emit.op("Concat", *sums, axis=1)]
