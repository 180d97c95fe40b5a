"""Reductions. A mean's adjoint is the same everywhere along its axes and stays unexpanded."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from ...graph.attributes import constant_ints, int_attribute, ints_attribute, only_input
from ...graph.emitter import Emitter, dims_of
from ..adjoint import Adjoint, Result
from ..registry import Needed, vjp
from ..support.values import needs_constant, where


def reduced_axes(node: ir.Node) -> list[int]:
    """Axes of the input that a reduction runs over, sorted."""
    rank = len(dims_of(only_input(node)))
    given = constant_ints(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
    if given is None:
        given = ints_attribute(node, "axes")
    if not given:
        return [] if int_attribute(node, "noop_with_empty_axes", 0) else list(range(rank))
    return sorted(axis % rank for axis in given)


def kept_dims(emit: Emitter, node: ir.Node, value: ir.Value, lead: int) -> ir.Value:
    """``value`` with the reduced axes back at extent 1; ``lead`` axes stand before the output's."""
    if int_attribute(node, "keepdims", 1):
        return value
    axes = emit.ints([lead + axis for axis in reduced_axes(node)])
    return emit.op("Unsqueeze", value, axes, role="kept")


def _spread(emit: Emitter, node: ir.Node, grad: Adjoint) -> Adjoint:
    """A sum's adjoint: the cotangent, spread along the reduced axes."""
    axes = reduced_axes(node)
    if int_attribute(node, "keepdims", 1):
        spread = grad.spread
    else:
        remaining = [a for a in range(len(dims_of(only_input(node)))) if a not in axes]
        spread = frozenset(remaining[axis] for axis in grad.spread)
    return Adjoint(kept_dims(emit, node, grad.value, 1), 1.0, spread | frozenset(axes))


def mean_over(emit: Emitter, x: ir.Value, axes: Sequence[int], total: Adjoint) -> Adjoint:
    """Divide by the number of elements along ``axes`` of ``x``, as a factor where it is static."""
    dims = dims_of(x)
    extents = [dims[axis] for axis in axes]
    static = [extent for extent in extents if isinstance(extent, int)]
    factor = total.factor / math.prod(static)
    value = total.value
    dynamic = [axis for axis in axes if not isinstance(dims[axis], int)]
    if dynamic:
        count = emit.op("ReduceProd", emit.extents(x, dynamic), role="count", keepdims=0)
        assert value.dtype is not None
        count = emit.op("Cast", count, role="count", dtype=value.dtype, to=int(value.dtype))
        value = emit.op("Div", value, count, role="mean")
    return Adjoint(value, factor, total.spread)


@vjp("ReduceSum", since=13, inputs=(0,), lazy=True, check=needs_constant(1))
def reduce_sum(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g`` for each summand."""
    return [_spread(emit, node, grad)]


@vjp("ReduceMean", since=13, inputs=(0,), lazy=True, check=needs_constant(1))
def reduce_mean(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g / count`` for each element."""
    return [mean_over(emit, only_input(node), reduced_axes(node), _spread(emit, node, grad))]


@vjp("GlobalAveragePool", since=1, lazy=True)
def global_average_pool(
    emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed
) -> Sequence[Result]:
    """``g / count`` for each place."""
    x = only_input(node)
    axes = list(range(2, len(dims_of(x))))
    total = Adjoint(grad.value, 1.0, grad.spread | frozenset(axes))
    return [mean_over(emit, x, axes, total)]


@vjp("ReduceMax", "ReduceMin", since=13, inputs=(0,), check=needs_constant(1))
def reduce_extreme(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """Elements that reach the extreme share the cotangent evenly, as PyTorch's ``amax``."""
    x, y = only_input(node), node.outputs[0]
    if not reduced_axes(node):
        return [grad]
    assert x.dtype is not None
    top = kept_dims(emit, node, y, 0)
    reach = emit.op("Equal", x, top, dtype=ir.DataType.BOOL)
    reach = emit.op("Cast", reach, role="reach", dtype=x.dtype, to=int(x.dtype))
    ties = emit.op("ReduceSum", reach, emit.ints(reduced_axes(node)), role="ties", keepdims=1)
    share = emit.op("Div", reach, ties, role="share")
    return [emit.op("Mul", kept_dims(emit, node, grad.value, 1), share)]


@vjp("ReduceL2", since=13, inputs=(0,), check=needs_constant(1))
def reduce_l2(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g x / y``; 0 where the norm is 0, as PyTorch."""
    x = only_input(node)
    norm = kept_dims(emit, node, node.outputs[0], 0)
    none = emit.op("Equal", norm, emit.scalar(0.0, x), dtype=ir.DataType.BOOL)
    safe = emit.op("Where", none, emit.scalar(1.0, x), norm, dtype=x.dtype)
    share = emit.op("Div", x, safe, role="share")
    return [emit.op("Mul", kept_dims(emit, node, grad.value, 1), share)]


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
