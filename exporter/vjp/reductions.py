"""Further reductions: absolute values, squares, logarithms and products."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..adjoint import Adjoint, Result
from ..emitter import Emitter
from .common import needs_constant, only_input, where
from .reduce import kept_dims, reduced_axes
from .registry import Needed, vjp


@vjp("ReduceL1", since=13, inputs=(0,), check=needs_constant(1))
def reduce_l1(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g sign(x)``; 0 at 0, as in PyTorch."""
    sign = emit.op("Sign", only_input(node))
    return [emit.op("Mul", kept_dims(emit, node, grad.value, 1), sign)]


@vjp("ReduceSumSquare", since=13, inputs=(0,), check=needs_constant(1))
def reduce_sum_square(
    emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed
) -> Sequence[Result]:
    """``2 g x``."""
    return [Adjoint(emit.op("Mul", kept_dims(emit, node, grad.value, 1), only_input(node)), 2.0)]


@vjp("ReduceLogSum", since=13, inputs=(0,), check=needs_constant(1))
def reduce_log_sum(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g / e^y``, the same for all summands."""
    total = emit.op("Exp", node.outputs[0], role="total")
    share = emit.op("Div", grad.value, total, role="share")
    return [Adjoint(kept_dims(emit, node, share, 1), spread=frozenset(reduced_axes(node)))]


@vjp("ReduceLogSumExp", since=13, inputs=(0,), check=needs_constant(1))
def reduce_log_sum_exp(
    emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed
) -> Sequence[Result]:
    """``g e^(x - y)``."""
    top = kept_dims(emit, node, node.outputs[0], 0)
    share = emit.op("Exp", emit.op("Sub", only_input(node), top, role="below"), role="share")
    return [emit.op("Mul", kept_dims(emit, node, grad.value, 1), share)]


@vjp("ReduceProd", since=13, inputs=(0,), check=needs_constant(1))
def reduce_prod(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g`` times the product of the others, also where there are zeros.

    That product is the product of all numbers that are not 0, over ``x`` if ``x`` is one of them,
    and 0 if there is a zero among the others.
    """
    x = only_input(node)
    if not reduced_axes(node):
        return [grad]
    assert x.dtype is not None
    axes = emit.ints(reduced_axes(node))
    zero = emit.op("Equal", x, emit.scalar(0.0, x), role="zero", dtype=ir.DataType.BOOL)
    safe = where(emit, zero, emit.scalar(1.0, x), x)
    product = emit.op("ReduceProd", safe, axes, role="product", keepdims=1)
    own = emit.op("Cast", zero, role="own", dtype=x.dtype, to=int(x.dtype))
    count = emit.op("ReduceSum", own, axes, role="zeros", keepdims=1)
    alone = emit.op("Equal", count, own, role="alone", dtype=ir.DataType.BOOL)
    others = where(emit, alone, emit.op("Div", product, safe, role="others"))
    return [emit.op("Mul", kept_dims(emit, node, grad.value, 1), others)]
