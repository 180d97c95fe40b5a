"""`open_attention` writes an Attention operator as the products and the softmax that it stands for.

The operator (opset 23 and newer) does not give its weights to others; written out, they are a value
of the graph.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from ..differentiate.support.attention_heads import Heads, heads_of, permuted
from ..differentiate.support.values import places, where
from ..graph.emitter import Emitter, parts_of
from ..graph.expression import Expression
from ..graph.inline import infer_shapes
from ..graph.queries import ancestors


def open_attention(model: ir.Model, score: ir.Value) -> None:
    """Write out every Attention operator that leads to ``score`` and has no cache."""
    graph, leading, count = model.graph, ancestors(score), len(model.graph)
    for node in list(graph):
        if node.op_type != "Attention" or node.domain not in ("", "ai.onnx"):
            continue
        alone = all(not value.uses() for value in node.outputs[1:])
        if node.outputs[0] in leading and alone and not any(node.inputs[4:]):
            _open(graph, node)
    if len(graph) > count:
        infer_shapes(model)


def _open(graph: ir.Graph, node: ir.Node) -> None:
    emit, before = Emitter(graph), len(graph)
    with emit.scope(f"open/{node.name or 'attention'}"):
        result = _written_out(emit, node)
    made = list(graph)[before:]
    for one in made:
        graph.remove(one)
    graph.insert_before(node, made)
    output = node.outputs[0]
    name, result.shape, result.type = output.name, output.shape, output.type
    ir.convenience.replace_all_uses_with(output, result, replace_graph_outputs=True)
    graph.remove(node, safe=True)
    result.name = name
    for one in made:  # the module that the operator belongs to
        one.metadata_props.update(node.metadata_props)


def _written_out(emit: Emitter, node: ir.Node) -> ir.Value:
    q, k, v, out = heads_of(node)
    queries, keys, values = (_by_query_head(emit, one, q) for one in (q, k, v))
    turned = permuted(emit, keys, 0, (0, 1, 3, 2))
    scale = node.attributes.get_float("scale", 1.0 / math.sqrt(q.width))
    scores = Expression(emit, emit.op("MatMul", queries, turned, role="products")) * scale
    if cap := node.attributes.get_float("softcap", 0.0):
        scores = (scores / cap).op("Tanh") * cap
    for bias in _biases(emit, node, q, k):
        scores = scores + bias
    weights = scores.op("Softmax", role="weights", axis=-1)
    weights.value.shape = ir.Shape([*_batch(q), q.heads * q.group, _length(q), _length(k)])
    seen = weights
    if len(node.inputs) > 3 and node.inputs[3] is not None:
        blind = scores.op("ReduceMax", [-1], keepdims=1).equals(-math.inf)
        seen = weights.of(0.0).where(blind, weights)
    product = emit.op("MatMul", seen.value, values, role="result")
    if out.merged:
        product = permuted(emit, product, 0, (0, 2, 1, 3))
    heads = out.heads * out.group
    parts = [*parts_of(q.value, [0]), *([q.length] if out.merged else [heads, q.length])]
    width = heads * out.width if out.merged else out.width
    return emit.op("Reshape", product, emit.vector([*parts, width]), role="output")


def _by_query_head(emit: Emitter, one: Heads, q: Heads) -> ir.Value:
    """[N, query heads, length, width]; key heads are repeated for the queries of their group."""
    value = one.laid_out(emit, one.value)
    batch = parts_of(one.value, [0])
    if one.group != q.group:
        each = [*batch, one.heads, q.group, one.length, one.width]
        value = emit.op("Expand", value, emit.vector(each), role="group")
    whole = emit.vector([*batch, one.heads * q.group, one.length, one.width])
    return emit.op(
        "Reshape", value, whole, role="by_head",
        shape=[*_batch(one), one.heads * q.group, _length(one), one.width],
    )  # fmt: skip


def _batch(one: Heads) -> list[int | str | None]:
    (extent,) = one.value.shape[:1] if one.value.shape is not None else (None,)
    return [extent if isinstance(extent, int | None) else extent.value]


def _length(one: Heads) -> int | None:
    return one.length if isinstance(one.length, int) else None


def _biases(emit: Emitter, node: ir.Node, q: Heads, k: Heads) -> Sequence[ir.Value]:
    """What is added to the scores: the mask, and minus infinity before later keys."""
    found: list[ir.Value] = []
    zero = emit.scalar(0.0, q.value)
    mask = node.inputs[3] if len(node.inputs) > 3 else None
    if mask is not None:
        boolean = mask.dtype == ir.DataType.BOOL
        found.append(where(emit, mask, zero, -math.inf) if boolean else mask)
    if node.attributes.get_int("is_causal", 0):
        row = emit.op("Unsqueeze", places(emit, q.length), [1], role="row")
        early = emit.op("GreaterOrEqual", row, places(emit, k.length), role="early")
        found.append(where(emit, early, zero, -math.inf))
    return found
