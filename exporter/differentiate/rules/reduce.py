"""These rules differentiate reductions; a mean's adjoint, equal along its axes, stays spread."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import onnx_ir as ir

from ...graph.attributes import constant_ints, ints_attribute, only_input
from ...graph.emitter import Emitter, dims_of
from ...graph.expression import Expression
from ...graph.torch_notes import takes_first
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.values import input_of, needs_constant, output_of


def reduced_axes(node: ir.Node) -> list[int]:
    """Axes of the input that a reduction runs over, sorted."""
    rank = len(dims_of(only_input(node)))
    given = constant_ints(node.inputs[1]) if len(node.inputs) > 1 and node.inputs[1] else None
    if given is None:
        given = ints_attribute(node, "axes")
    if not given:
        return [] if node.attributes.get_int("noop_with_empty_axes", 0) else list(range(rank))
    return sorted(axis % rank for axis in given)


def _with_axes(emit: Emitter, value: ir.Value, node: ir.Node, lead: int) -> ir.Value:
    """``value`` with the reduced axes back at extent 1; ``lead`` axes come before the output's."""
    if node.attributes.get_int("keepdims", 1):
        return value
    return emit.op("Unsqueeze", value, [lead + axis for axis in reduced_axes(node)], role="kept")


def _lifted(node: ir.Node, g: Cotangent) -> Cotangent:
    """A cotangent of the output with the reduced axes back at extent 1."""
    return g.through(_with_axes, node, 1)


def _lifted_output(emit: Emitter, node: ir.Node) -> Expression:
    """The output with the reduced axes back at extent 1."""
    return Expression(emit, _with_axes(emit, node.outputs[0], node, 0))


def _summands(node: ir.Node, g: Cotangent) -> Cotangent:
    """The cotangent of each summand of a sum: ``g``, spread along the reduced axes."""
    axes = reduced_axes(node)
    remaining = [a for a in range(len(dims_of(only_input(node)))) if a not in axes]
    spread = (
        g.spread if node.attributes.get_int("keepdims", 1) else {remaining[a] for a in g.spread}
    )
    return replace(_lifted(node, g), spread=frozenset(axes).union(spread))


def _over_count(g: Cotangent, x: ir.Value, axes: Sequence[int]) -> Cotangent:
    """``g`` over the number of elements along ``axes`` of ``x``; static ones are a factor."""
    emit, dims = g.emit, dims_of(x)
    static = math.prod(extent for axis in axes if isinstance(extent := dims[axis], int))
    dynamic = [axis for axis in axes if not isinstance(dims[axis], int)]
    if dynamic:
        assert g.value.dtype is not None
        count = emit.op("ReduceProd", emit.extents(x, dynamic), role="count", keepdims=0)
        count = emit.cast(count, g.value.dtype, "count")
        g = g.with_value(emit.op("Div", g.value, count, role="mean"))
    return g / static


@vjp("ReduceSum", since=13, inputs=(0,), lazy=True, check=needs_constant(1))
def reduce_sum(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` for each summand."""
    return [_summands(node, g)]


@vjp("ReduceMean", since=13, inputs=(0,), lazy=True, check=needs_constant(1))
def reduce_mean(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g / count`` for each element."""
    return [_over_count(_summands(node, g), only_input(node), reduced_axes(node))]


@vjp("GlobalAveragePool", since=1, lazy=True)
def global_average_pool(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g / count`` for each place."""
    x = only_input(node)
    space = range(2, len(dims_of(x)))
    return [_over_count(replace(g, spread=g.spread.union(space)), x, space)]


@vjp("ReduceMax", "ReduceMin", since=13, inputs=(0,), check=needs_constant(1))
def reduce_extreme(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """Elements that reach the extreme share the cotangent evenly, as PyTorch's ``amax``.

    TensorFlow and JAX do the same. But if PyTorch's exporter noted that the node was a ``max`` that
    also gives the place, or an adaptive max pool, the first element takes the cotangent.
    """
    x, axes = input_of(emit, node), reduced_axes(node)
    if not axes:
        return [g]
    if takes_first(node):
        arg = "ArgMax" if node.op_type == "ReduceMax" else "ArgMin"
        return [_lifted(node, g) * first_along(emit, only_input(node), axes, arg)]
    reach = x.indicator(x.equals(_lifted_output(emit, node)))
    return [_lifted(node, g) * (reach / reach.sum(axes))]


@vjp("GlobalMaxPool", since=1)
def global_max_pool(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent at the place of the maximum, the first one among ties: as for all pools."""
    x = only_input(node)
    return [g * first_along(emit, x, range(2, len(dims_of(x))), "ArgMax")]


def first_along(emit: Emitter, x: ir.Value, axes: Sequence[int], arg: str) -> ir.Value:
    """1 at the first extreme along ``axes`` of ``x``, row by row, else 0.

    Args:
        emit: Where nodes are added.
        x: The value.
        axes: One axis, or several; sorted.
        arg: ArgMax or ArgMin.
    """
    rank = len(dims_of(x))
    others = [axis for axis in range(rank) if axis not in axes]
    one = len(axes) == 1
    order = [*others, *axes]
    last = x if one or order == sorted(order) else emit.op("Transpose", x, role="last", perm=order)
    flat = last if one else emit.op("Reshape", last, [0] * len(others) + [-1], role="flat")
    along = axes[0] if one else len(others)
    place = emit.op(arg, flat, role="place", axis=along, keepdims=0)
    count = emit.op("Shape", flat, role="count", start=along, end=along + 1)
    count = emit.op("Squeeze", count, [0], role="count")
    hit = emit.op(
        "OneHot", place, count, emit.constant([0.0, 1.0], x.dtype), role="hit", axis=along
    )
    if one:
        return hit
    hit = emit.op("Reshape", hit, emit.extents(x, order), role="hit")
    if order == sorted(order):
        return hit
    return emit.op("Transpose", hit, role="hit", perm=[order.index(axis) for axis in range(rank)])


@vjp("ReduceL2", since=13, inputs=(0,), check=needs_constant(1))
def reduce_l2(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g x / y``; 0 where the norm is 0, as PyTorch."""
    x, norm = input_of(emit, node), _lifted_output(emit, node)
    return [_lifted(node, g) * (x / norm.without_zeros())]


@vjp("ReduceL1", since=13, inputs=(0,), check=needs_constant(1))
def reduce_l1(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g sign(x)``; 0 at 0, as in PyTorch."""
    return [_lifted(node, g) * input_of(emit, node).op("Sign")]


@vjp("ReduceSumSquare", since=13, inputs=(0,), check=needs_constant(1))
def reduce_sum_square(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``2 g x``."""
    return [_lifted(node, g) * only_input(node) * 2.0]


@vjp("ReduceLogSum", since=13, inputs=(0,), check=needs_constant(1), unbounded=True)
def reduce_log_sum(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g / e^y``, the same for all summands."""
    return [_summands(node, g / output_of(emit, node).op("Exp"))]


@vjp("ReduceLogSumExp", since=13, inputs=(0,), check=needs_constant(1))
def reduce_log_sum_exp(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g e^(x - y)``."""
    below = input_of(emit, node) - _lifted_output(emit, node)
    return [_lifted(node, g) * below.op("Exp")]


@vjp("ReduceProd", since=13, inputs=(0,), check=needs_constant(1))
def reduce_prod(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` times the product of the others, also where there are zeros.

    That product is the product of all numbers that are not 0, over ``x`` if ``x`` is one of them,
    and 0 if there is a zero among the others.
    """
    x, axes = input_of(emit, node), reduced_axes(node)
    if not axes:
        return [g]
    safe = x.without_zeros()
    product = safe.op("ReduceProd", axes, keepdims=1)
    own = x.indicator(x.equals(0.0))
    others = (product / safe).where(own.sum(axes).equals(own))
    return [_lifted(node, g) * others]
