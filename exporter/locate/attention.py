"""`attention_blocks` finds attention by its structure: a Softmax between two products."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import onnx_ir as ir

from ..graph.attributes import ints_attribute
from ..graph.emitter import constant_of, dims_of
from ..graph.queries import ancestors, module_path
from .mixed_heads import heads_last_before, heads_last_behind

_PRODUCTS = frozenset({"MatMul", "Einsum"})
# What may stand between the softmax and the product with the values.
_AFTER = frozenset({"Cast", "Dropout", "Identity", "Reshape", "Squeeze", "Unsqueeze", "Where"})
# What may stand between the product of queries and keys and the softmax: scale, bias, mask, cap.
_BEFORE = _AFTER | {"Add", "Clip", "Div", "Max", "Mul", "Sub", "Tanh"}
# What a gate is made of.
_GATES = frozenset({"Add", "Div", "Mul"})
_FAR = 24  # nodes that are read on either side


@dataclass(frozen=True)
class AttentionBlock:
    """One attention.

    Attributes:
        name: The path of its module; the name of its weights where no module is known.
        weights: The softmax's result, whose last two axes are queries and keys; where a gate mixes
            it with other weights (ConViT's of positions), what the gate gives.
        scores: The node that multiplies queries and keys.
        product: The node that multiplies weights and values.
    """

    name: str
    weights: ir.Value
    scores: ir.Node
    product: ir.Node

    @property
    def weights_first(self) -> bool:
        """Whether the weights are the product's left side; values with tokens last are, else."""
        left = self.product.inputs[0]
        return left is not None and (left is self.weights or self.weights in ancestors(left))

    @property
    def queries(self) -> int | None:
        """Number of tokens that look; None if it is open."""
        return self._extent(-2)

    @property
    def keys(self) -> int | None:
        """Number of tokens that are looked at; None if it is open."""
        return self._extent(-1)

    def _extent(self, axis: int) -> int | None:
        extent = dims_of(self.weights)[axis]
        return extent if isinstance(extent, int) else None


def attention_blocks(graph: ir.Graph, score: ir.Value) -> list[AttentionBlock]:
    """The attentions that the score depends on, in the order of the forward pass.

    Products over channels instead of tokens (XCiT's) are none.
    """
    found, names = list[AttentionBlock](), dict[str, int]()
    for node, block in _between_products(graph, score):
        if _mixes_channels(graph, block.weights, score):
            continue
        base = block.name or module_path(node) or block.weights.name or "attention"
        names[base] = number = names.get(base, 0) + 1
        found.append(replace(block, name=base if number == 1 else f"{base}#{number}"))
    return found


def mixes_channels(graph: ir.Graph, score: ir.Value) -> bool:
    """Whether the score depends on an attention of channels."""
    return any(
        _mixes_channels(graph, block.weights, score) for _, block in _between_products(graph, score)
    )


def _between_products(graph: ir.Graph, score: ir.Value) -> Iterator[tuple[ir.Node, AttentionBlock]]:
    """Yield each Softmax between two products, and its block by its product's module."""
    leading = ancestors(score)
    for node in graph:
        if node.op_type != "Softmax" or node.outputs[0] not in leading:
            continue
        soft = node.outputs[0]
        if soft.shape is None or len(soft.shape) < 3 or not _along_last(node):
            continue
        (product, weights), scores = product_after(soft), _product_before(node)
        if product is not None and scores is not None:
            yield node, AttentionBlock(module_path(product) or "", weights, scores, product)


def fused_attention(graph: ir.Graph) -> ir.Node | None:
    """A node that holds a whole attention of ONNX Runtime's own, which cannot be opened."""
    return next(
        (n for n in graph if n.domain == "com.microsoft" and n.op_type.endswith("Attention")), None
    )


def _along_last(node: ir.Node) -> bool:
    axis = node.attributes.get_int("axis", -1)
    return axis in (-1, len(dims_of(node.outputs[0])) - 1)


def product_after(soft: ir.Value) -> tuple[ir.Node | None, ir.Value]:
    """The product of the weights with the values, and the weights.

    The product may take what talking heads make of them, or a gate, which then gives the weights.
    Values that have tokens last, as convolutions leave them, stand on the left of weights that are
    turned.
    """
    pending, seen, gated = [(soft, False, False)], {soft}, set[ir.Value]()
    while pending and len(seen) < _FAR:
        value, last, turned = pending.pop()  # whether the heads are on the last axis
        for use in value.uses():
            node = use.node
            if node.op_type in _PRODUCTS and not last and not any(map(_is_constant, node.inputs)):
                if use.idx == int(turned) and len(node.inputs) == 2:
                    return node, value if value in gated else soft
                continue
            through = _is_gate(node, soft)
            turns = turns_last_two(node)
            same = through or turns or node.op_type in _AFTER
            behind = last if same else heads_last_behind(node, last)
            if behind is not None and node.outputs[0] not in seen:
                seen.add(node.outputs[0])
                pending.append((node.outputs[0], behind, turned ^ turns))
                if through or value in gated:
                    gated.add(node.outputs[0])
    return None, soft


def turns_last_two(node: ir.Node) -> bool:
    """Whether a node exchanges the last two axes."""
    if node.op_type != "Transpose":
        return False
    perm = ints_attribute(node, "perm") or []
    places = [*range(len(perm))]
    return len(perm) > 1 and perm == [*places[:-2], places[-1], places[-2]]


def _is_gate(node: ir.Node, soft: ir.Value) -> bool:
    """Whether a node mixes weights with others, or scales them, and keeps their shape."""
    made = node.outputs[0]
    same = made.shape is not None and dims_of(made) == dims_of(soft)
    return node.op_type in _GATES and same


def _product_before(softmax: ir.Node) -> ir.Node | None:
    """The product of queries and keys."""
    first = softmax.inputs[0]
    pending, seen = [(first, False)], {first}
    while pending and len(seen) < _FAR:
        value, last = pending.pop(0)  # whether the heads are on the last axis
        node = None if value is None else value.producer()
        if node is None:
            continue
        if node.op_type in _PRODUCTS and not any(map(_is_constant, node.inputs)):
            if len(node.inputs) == 2 and not last:
                return node
            continue
        before = last if node.op_type in _BEFORE else heads_last_before(node, last)
        if before is not None:
            fresh = [one for one in node.inputs if one is not None and one not in seen]
            seen.update(fresh)
            pending.extend((one, before) for one in fresh)
    return None


def _mixes_channels(graph: ir.Graph, weights: ir.Value, score: ir.Value) -> bool:
    """Whether the weights are of channels: behind them, no axis has their extent for tokens."""
    queries = dims_of(weights)[-2]
    behind = passes(graph, weights, score)
    laid = next((one for one in behind if one.shape is not None and len(one.shape) == 3), None)
    return laid is not None and laid is not weights and queries not in dims_of(laid)


def _is_constant(value: ir.Value | None) -> bool:
    return value is None or constant_of(value) is not None


def passes(graph: ir.Graph, start: ir.Value, end: ir.Value) -> Iterator[ir.Value]:
    """Yield the values that every way from ``start`` to ``end`` passes, in order.

    In a residual network these are the sums behind each branch, and what follows them alone.
    """
    leading = ancestors(end)
    reached, waiting = {start}, {start: _readers(start, leading)}
    yield start
    for node in graph:
        read = [value for value in node.inputs if value in reached]
        if not read or not any(output in leading for output in node.outputs):
            continue
        for value in {*read}:
            waiting[value] -= 1
            if not waiting[value]:
                del waiting[value]
        for output in node.outputs:
            if output in leading:
                reached.add(output)
                if count := _readers(output, leading):
                    waiting[output] = count
                if output is end or (len(waiting) == 1 and output in waiting):
                    yield output


def _readers(value: ir.Value, leading: set[ir.Value]) -> int:
    """The number of nodes that read ``value`` on the way to the end."""
    nodes = {use.node for use in value.uses()}
    return sum(any(output in leading for output in node.outputs) for node in nodes)
