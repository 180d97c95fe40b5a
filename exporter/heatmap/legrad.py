"""This module differentiates the score that the model's head gives each block's own tokens.

LeGrad (Bousselham et al. 2024, 2404.03214) asks how the tokens behind a block would score, as if
the model ended there, and how that score follows the block's attention.
"""

from __future__ import annotations

from collections.abc import MutableMapping
from dataclasses import replace

import onnx_ir as ir

from ..differentiate.backward import differentiate
from ..differentiate.cotangent import Cotangent
from ..differentiate.plan import plan
from ..graph.emitter import Emitter, dims_of
from ..graph.precision import SINGLE
from ..graph.queries import ancestors, inputs_of
from ..locate.attention_chain import Chain

INNER = "legrad"
"""The prefix of the names that the gradients have in the graph, for the verification."""


def legrad_gradients(
    emit: Emitter, chain: Chain, seed: Cotangent, scale: float
) -> dict[str, ir.Value]:
    """Gradients of each block's own score with respect to its weights.

    As in the authors' code, the head takes the mean of a block's tokens in place of each of them,
    class token included; a pool takes the tokens themselves, and its weights are the block's. Class
    attention is a pool in several steps: the heads of all count.

    Args:
        emit: Where nodes are added.
        chain: The blocks.
        seed: The cotangent of the model's own scores.
        scale: How much larger than the gradients cotangents are.

    Returns:
        float32 [K, N, heads, queries, keys] by block, in order; the heads of all blocks of class
        attention.
    """
    head = _Head(emit, chain, seed.forward)
    found: dict[str, ir.Value] = {}
    for block, stream in zip(chain.blocks, chain.streams, strict=True):
        with emit.scope(f"{INNER}/{block.name}"):
            if chain.collectors:
                score, targets = head.of(stream)
            else:
                targets, score = [block.weights], head.of(_levelled(emit, stream, chain.tokens))[0]
            made = plan(emit.graph, score, targets)
            slopes = differentiate(emit, made, replace(seed, forward=score))
            each = [
                (slopes[one] / scale).through(Emitter.cast, SINGLE, "single").dense()
                for one in targets
            ]
            value = each[0] if len(each) == 1 else emit.op("Concat", *each, role="heads", axis=2)
        value.name = emit.unique(f"{INNER}.{block.name}")
        found[block.name] = value
    return found


def _levelled(emit: Emitter, stream: ir.Value, tokens: int | None) -> ir.Value:
    """The mean of the tokens in place of each."""
    dims = dims_of(stream)
    axis = 0 if dims[0] == tokens else 1
    one = [*dims[:axis], 1, *dims[axis + 1 :]]
    mean = emit.op("ReduceMean", stream, [axis], role="mean_token", shape=one, keepdims=1)
    return emit.op("Expand", mean, emit.extents(stream), role="level", shape=dims)


class _Head:
    """The part of the graph from the last block's tokens to the scores, for other tokens."""

    def __init__(self, emit: Emitter, chain: Chain, table: ir.Value) -> None:
        self._emit, self._start, self._table = emit, chain.streams[-1], table
        self._collect = [block.weights for block in chain.collectors]
        leading, behind = ancestors(table), {self._start}
        self._nodes: list[ir.Node] = []
        for node in emit.graph:
            needed = any(value in leading for value in node.outputs)
            if needed and not behind.isdisjoint(inputs_of(node)) and node.op_type != "Shape":
                self._nodes.append(node)
                behind.update(node.outputs)

    def of(self, stream: ir.Value) -> tuple[ir.Value, list[ir.Value]]:
        """The scores of these tokens, and the weights by which they are collected, if any."""
        if stream is self._start:
            return self._table, self._collect
        twins: dict[ir.Value | None, ir.Value | None] = {self._start: stream}
        for node in self._nodes:
            self._copy(node, twins)
        score = twins[self._table]
        assert score is not None
        return score, [twin for one in self._collect if (twin := twins[one]) is not None]

    def _copy(self, node: ir.Node, twins: MutableMapping[ir.Value | None, ir.Value | None]) -> None:
        outputs = [
            ir.Value(name=self._emit.unique(f"{INNER}/{one.name}"), type=one.type, shape=one.shape)
            for one in node.outputs
        ]
        inputs = [twins.get(one, one) for one in node.inputs]
        made = ir.Node(
            node.domain, node.op_type, inputs, node.attributes.values(), outputs=outputs,
            name=self._emit.unique(f"{INNER}/{node.name}"), version=node.version,
        )  # fmt: skip
        self._emit.graph.append(made)
        twins.update(zip(node.outputs, outputs, strict=True))
