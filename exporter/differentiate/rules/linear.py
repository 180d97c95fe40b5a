"""These rules differentiate matrix products."""

from __future__ import annotations

import math

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, constant_of, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.values import reshape_like, static_extent, swapped
from ..unbroadcast import broadcast_axes, open_axes, sum_broadcast, sum_open

_LARGE = 2**24  # weights; those of VGG's and AlexNet's heads, and of no block of a ViT-H


def _only_first(needed: Needed) -> bool:
    return needed[0] and not any(needed[1:])


def _gemm_selection(
    emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed
) -> Cotangents | None:
    """A linear head's adjoint is a row of its weights: a gather in place of a product."""
    if not _only_first(needed) or node.attributes.get_int("transA", 0):
        return None
    rows = g.selected_rows(only_input(node, 1), axis=1 - node.attributes.get_int("transB", 0))
    return [rows * node.attributes.get_float("alpha", 1.0)]


@vjp("Gemm", since=9, selection=_gemm_selection)
def gemm(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """For ``y = alpha a b + beta c``: ``alpha g b^T``, ``alpha a^T g`` and ``beta g`` summed.

    A constant ``b`` is used in its stored layout, by one Gemm over K and N together.
    """
    a, b = only_input(node, 0), only_input(node, 1)
    alpha, beta = (node.attributes.get_float(name, 1.0) for name in ("alpha", "beta"))
    trans_a, trans_b = (node.attributes.get_int(name, 0) for name in ("transA", "transB"))
    results: list[Cotangent | None] = [None] * len(node.inputs)
    if needed[0]:
        if not trans_a and constant_of(b) is not None:
            by_a = g.through(_gemm_rows, a, b, not trans_b)
        else:
            right = lifted(emit, b, 2)
            by_a = g.op("MatMul", right if trans_b else swapped(emit, right))
        results[0] = (by_a.through(_swap_k) if trans_a else by_a) * alpha
    if needed[1]:
        left = lifted(emit, a, 2)
        by_b = g.with_value(emit.op("MatMul", left if trans_a else swapped(emit, left), g.value))
        results[1] = (by_b.through(_swap_k) if trans_b else by_b) * alpha
    if len(needed) > 2 and needed[2]:
        results[2] = g.through(_sum_rows, only_input(node, 2)) * beta
    return results


def _swap_k(emit: Emitter, value: ir.Value) -> ir.Value:
    return emit.op("Transpose", value, role="transposed", perm=[0, 2, 1])


def _sum_rows(emit: Emitter, grad: ir.Value, bias: ir.Value) -> ir.Value:
    """Sum ``[K, N, M]`` down to ``[K, *dims of bias]`` (Gemm broadcasts its third input)."""
    dims = dims_of(bias)
    shape: list[int | str | None] = [1] * (2 - len(dims)) + dims
    axes = [1 + axis for axis in (0, 1) if shape[axis] == 1]
    if axes:
        grad = emit.op("ReduceSum", grad, axes, role="rows", keepdims=1)
    return reshape_like(emit, grad, bias)


def _gemm_rows(
    emit: Emitter, grad: ir.Value, like: ir.Value, weights: ir.Value, transposed: bool
) -> ir.Value:
    """``grad @ weights`` (or its transpose) over all leading axes of ``grad`` as rows."""
    inner = static_extent(weights, 1 if transposed else 0)
    rows = emit.op("Reshape", grad, [-1, inner], role="rows")
    product = emit.op("Gemm", rows, _as_stored(emit, weights), transB=int(transposed))
    return reshape_like(emit, product, like, role="unfolded")


def _as_stored(emit: Emitter, weights: ir.Value) -> ir.Value:
    """Weights that ONNX Runtime does not copy into the layout of its product, if they are large.

    It stores such a copy of every constant, one for the forward product and another for the
    adjoint. In a head like VGG16's, of few rows and 120 million weights, that doubles the memory,
    and the product for one image takes twice as long from the copy as from the stored weights. (For
    eight it takes longer, by 2 % of the run.) A Reshape to a shape that is known at run time only
    hides that they are constant, and copies nothing.
    """
    dims = [extent for extent in dims_of(weights) if isinstance(extent, int)]
    if len(dims) < 2 or math.prod(dims) < _LARGE:
        return weights
    none = emit.op("Min", emit.classes, [0], role="none")
    shape = emit.op("Add", none, dims, role="shape")
    return emit.op("Reshape", weights, shape, role="as_stored", shape=dims)


def _matmul_selection(
    emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed
) -> Cotangents | None:
    weights = only_input(node, 1)
    if not _only_first(needed) or len(dims_of(weights)) != 2 or len(dims_of(node.outputs[0])) != 2:
        return None
    return [g.selected_rows(weights, axis=1)]


@vjp("MatMul", since=9, lazy=True, broadcasts=False, selection=_matmul_selection)
def matmul(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g b^T`` and ``a^T g``, summed over broadcast stacks.

    A cotangent that is the same for all rows (after a mean over tokens) stays so through a
    product with a matrix.
    """
    a, b = only_input(node, 0), only_input(node, 1)
    if min(len(dims_of(a)), len(dims_of(b))) == 1:
        return _by_vector(emit, a, b, g.expanded(), needed)
    rank = len(dims_of(node.outputs[0]))
    by_a = by_b = None
    if needed[0] and len(dims_of(b)) == 2 and constant_of(b) is not None:
        if g.spread and rank - 1 not in g.spread:
            by_a = g.op("MatMul", swapped(emit, b))
        else:
            by_a = g.expanded().through(_gemm_rows, a, b, True)
    elif needed[0]:
        right = swapped(emit, lifted(emit, b, rank))
        by_a = g.expanded().op("MatMul", right).through(_stack_sum, node, a)
    if needed[1]:
        left = swapped(emit, lifted(emit, a, rank))
        whole = g.expanded()
        product = whole.with_value(emit.op("MatMul", left, whole.value))
        by_b = product.through(_stack_sum, node, b)
    return [by_a, by_b]


def _by_vector(emit: Emitter, a: ir.Value, b: ir.Value, g: Cotangent, needed: Needed) -> Cotangents:
    """A vector is a row on the left and a column on the right; the axis it adds is left out.

    With that axis back, each side's cotangent is the other side times ``g``, summed over the axes
    that a vector does not have.
    """
    right = len(dims_of(b)) == 1
    rank = len(dims_of(a if right else b))
    whole = g.op("Unsqueeze", [-1 if right else -2], role="column")
    column = a if right else emit.op("Unsqueeze", a, [1], role="column")
    over = range(1, rank) if right else [*range(1, rank - 1), rank]

    def summed(product: Cotangent) -> Cotangent:
        return product.op("ReduceSum", over, role="summed", keepdims=0) if over else product

    by_a = whole * b if needed[0] else None
    by_b = whole * column if needed[1] else None
    return [by_a, by_b and summed(by_b)] if right else [by_a and summed(by_a), by_b]


def lifted(emit: Emitter, value: ir.Value, rank: int) -> ir.Value:
    """A forward operand with as many axes as the cotangent of ``rank`` and K.

    Its leading extent is 1, or 0 if K is: ONNX Runtime's product does not broadcast 1 against 0
    (seen in 1.31). The Slice copies the operand, an eighth or less of the product's time.
    """
    missing = 1 + rank - len(dims_of(value))
    ones = emit.op("Unsqueeze", value, range(missing), role="lifted")
    some = emit.op("Min", emit.classes, [1], role="some")
    shape = [None, *[1] * (missing - 1), *dims_of(value)]
    return emit.op("Slice", ones, [0], some, [0], role="lifted", shape=shape)


def _stack_sum(emit: Emitter, value: ir.Value, node: ir.Node, source: ir.Value) -> ir.Value:
    """Sum ``[K, *stack, m, n]`` over the stack axes that ``source`` was broadcast along."""
    out, dims = dims_of(node.outputs[0])[:-2], dims_of(source)[:-2]
    lead = len(out) - len(dims)
    others = [dims_of(only_input(node, index))[:-2] for index in (0, 1)]
    value = sum_open(emit, value, source, open_axes(out, dims, others), lead)
    return sum_broadcast(emit, value, broadcast_axes(out, dims), lead)
