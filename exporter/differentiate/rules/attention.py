"""This rule differentiates scaled dot-product attention."""

from __future__ import annotations

import math

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Dim, Emitter, dims_of, parts_of
from ...graph.expression import Expression
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.attention_heads import Heads, heads_of, permuted
from ..support.values import places, where
from ..unbroadcast import broadcast_axes, sum_broadcast
from .linear import lifted

_NEVER = -math.inf


def _covered(node: ir.Node) -> str | None:
    if any(value is not None for value in node.inputs[4:]):
        return "past keys and values have no gradient rule; export the model without a cache"
    for index, value in enumerate((*node.inputs[:4], node.outputs[0])):
        if value is None:
            continue
        if value.shape is None:
            return f"the rank of {value.name!r} is unknown; write its shape into the model"
        dims = dims_of(value)
        if index < 3 and not all(isinstance(n, int) for n in (dims[-1], *dims[1 : len(dims) - 2])):
            return f"the heads of {value.name!r} are open; export their number and width as static"
    return None


def _bias(emit: Emitter, node: ir.Node, q: Heads, k: Heads) -> ir.Value | None:
    """What is added to the scores, [..., queries, keys] with the heads as in `Heads`."""
    mask = node.inputs[3] if len(node.inputs) > 3 else None
    bias: ir.Value | None = None
    if mask is not None:
        dims = dims_of(mask)
        if len(dims) > 2:
            heads = [1, 1] if dims[-3] == 1 else [q.heads, q.group]
            around = parts_of(mask)
            mask = emit.op("Reshape", mask, [*around[:-3], *heads, *around[-2:]], role="mask")
        bias = _banned(emit, mask, q) if mask.dtype == ir.DataType.BOOL else mask
    if node.attributes.get_int("is_causal", 0):
        row = emit.op("Unsqueeze", places(emit, q.length), [1], role="row")
        early = emit.op("GreaterOrEqual", row, places(emit, k.length), role="early")
        causal = _banned(emit, early, q)
        bias = causal if bias is None else emit.op("Add", bias, causal, role="bias")
    return bias


def _banned(emit: Emitter, allowed: ir.Value, q: Heads) -> ir.Value:
    """0 where a query may look, else minus infinity."""
    return where(emit, allowed, emit.scalar(0.0, q.value), _NEVER)


def _weights(emit: Emitter, scores: ir.Value, bias: ir.Value | None, q: Heads) -> ir.Value:
    """The softmax; zeros for a query that may look nowhere."""
    dims: list[Dim] = [None, q.heads, q.group, None, None]
    total = scores if bias is None else emit.op("Add", scores, bias, role="biased")
    weights = emit.op("Softmax", total, role="weights", shape=dims, axis=-1)
    if bias is None:
        return weights
    top = emit.op("ReduceMax", total, [-1], role="top", keepdims=1)
    blind = emit.op("Equal", top, _NEVER, role="blind")
    return emit.op("Where", blind, 0.0, weights, role="weights", shape=dims)


@vjp("Attention", since=23, inputs=(0, 1, 2, 3), check=_covered)
def attention(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``p^T g`` for the values, ``scale t k`` for queries, ``scale t^T q`` for keys, t for a mask.

    ``y = p v`` with ``p = softmax(scale q k^T + mask)``, and ``t = p (g v^T - sum(g y))``. A
    ``softcap`` c makes it ``softmax(c tanh(scale q k^T / c) + mask)``, and t behind it
    ``t (1 - tanh^2)``. The scores are computed again rather than stored.
    """
    q, k, v, out = heads_of(node)
    queries, keys = (one.laid_out(emit, one.value) for one in (q, k))
    by_head = out.laid_out(emit, g.value, [emit.classes])
    scale = node.attributes.get_float("scale", 1.0 / math.sqrt(q.width))
    raw = emit.op("MatMul", queries, permuted(emit, keys, 0, (0, 1, 2, 4, 3)), role="products")
    scores, bent = Expression(emit, raw) * scale, None
    if cap := node.attributes.get_float("softcap", 0.0):
        bent = (scores / cap).op("Tanh")
        scores = bent * cap
    weights = _weights(emit, scores.value, _bias(emit, node, q, k), q)
    results: list[Cotangent | None] = [None] * len(needed)
    if needed[2]:
        shares = emit.op("MatMul", _turned(emit, lifted(emit, weights, 5)), by_head, role="shares")
        results[2] = g.with_value(v.back(emit, _summed(emit, shares)))
    if not any((*needed[:2], *needed[3:])):
        return results
    values = lifted(emit, v.laid_out(emit, v.value), 5)
    slope = Expression(emit, emit.op("MatMul", by_head, _turned(emit, values), role="slope"))
    along = Expression(emit, by_head) * out.laid_out(emit, out.value)
    # Not axis -1: on an empty tensor (K = 0) ONNX Runtime 1.31 keeps that axis's extent.
    t = (slope - along.sum([5])) * weights
    if len(needed) > 3 and needed[3]:
        results[3] = g.with_value(_of_mask(emit, only_input(node, 3), t.value, q, k))
    if bent is not None and (needed[0] or needed[1]):
        t = t * (1.0 - bent.squared())
    if needed[0]:
        value = t.op("MatMul", lifted(emit, keys, 5)).value
        results[0] = g.with_value(q.back(emit, value)) * scale
    if needed[1]:
        value = emit.op("MatMul", _turned(emit, t.value), lifted(emit, queries, 5))
        results[1] = g.with_value(k.back(emit, _summed(emit, value))) * scale
    return results


def _turned(emit: Emitter, value: ir.Value) -> ir.Value:
    """The last two of six axes exchanged."""
    return emit.op("Transpose", value, role="turned", perm=[0, 1, 2, 3, 5, 4])


def _summed(emit: Emitter, value: ir.Value) -> ir.Value:
    """The sum over the query heads of a group."""
    return emit.op("ReduceSum", value, [3], role="group", keepdims=1)


def _of_mask(emit: Emitter, mask: ir.Value, value: ir.Value, q: Heads, k: Heads) -> ir.Value:
    """``[K, N, key heads, group, queries, keys]`` summed to ``[K, *dims of the mask]``."""
    parts = [parts_of(q.value, [0])[0], q.heads * q.group, q.length, k.length]
    value = emit.op("Reshape", value, [emit.classes, *parts], role="by_head")
    dims: list[Dim] = [part if isinstance(part, int) else None for part in parts]
    lead = 4 - len(dims_of(mask))
    return sum_broadcast(emit, value, broadcast_axes(dims, dims_of(mask)), lead)
