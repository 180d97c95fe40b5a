"""This module makes maps of attention in the graph; the formulas are those of the runtime."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...runtime.methods import attention_flow as flow
from ...runtime.methods.operations import Algebra
from ..graph.emitter import Emitter, parts_of
from ..graph.expression import Expression
from ..graph.precision import SINGLE
from ..locate.arrangement import Arrangement
from ..locate.attention_chain import Chain
from .graph_operations import GraphAlgebra

ALGEBRA: Algebra[Expression] = GraphAlgebra()


@dataclass(frozen=True)
class AttentionTensors:
    """What maps are made of, by the names of blocks; all float32.

    Attributes:
        weights: [N, heads, queries, keys].
        gradients: [N, K, heads, queries, keys].
    """

    weights: Mapping[str, ir.Value]
    gradients: Mapping[str, ir.Value]


@dataclass(frozen=True)
class AttentionMaps:
    """Makes the maps of one model.

    Attributes:
        emit: Where nodes are added.
        chain: The blocks.
        arrangement: Where their tokens stand.
        tensors: Their weights, and gradients where a map needs them.
    """

    emit: Emitter
    chain: Chain
    arrangement: Arrangement
    tensors: AttentionTensors

    def rollout(self) -> ir.Value:
        """Attention rollout, [N, K, *grid]."""
        collect = [self._value(self.tensors.weights[one.name]) for one in self.chain.collectors]
        if self.chain.class_blocks:
            read = self._behind_own(flow.class_rollout(ALGEBRA, self._own(), collect))
        elif collect:
            read = flow.attention(ALGEBRA, flow.Flow(self._one(), collect))
        else:
            read = self._read()
        return self.on_grid(flow.rollout(ALGEBRA, flow.Flow(read, self._weights)))

    def gradient_rollout(self) -> ir.Value:
        """Relevance of attention, [N, K, *grid]."""
        weights, gradients = self.tensors.weights, self.tensors.gradients
        slopes = [self._value(gradients[one.name]) for one in self.chain.all_blocks]
        own, collected = slopes[: len(self.chain.blocks)], slopes[len(self.chain.blocks) :]
        collect = [self._value(weights[one.name]) for one in self.chain.collectors]
        if self.chain.class_blocks:
            row = flow.class_relevance(ALGEBRA, self._own(), collect, collected)
            read = self._behind_own(row)
        elif collect:
            read = flow.pooled_relevance(ALGEBRA, self._one(), collect[0], collected[0])
        else:
            read = self._read()
        return self.on_grid(flow.gradient_rollout(ALGEBRA, flow.Flow(read, self._weights, own)))

    def legrad(self, gradients: Sequence[ir.Value]) -> ir.Value:
        """LeGrad from each block's own gradients [K, N, heads, queries, keys]: [N, K, *grid]."""
        by_class = flow.legrad(ALGEBRA, list(map(self._value, gradients)))
        row = by_class.op("Transpose", perm=[1, 0, 2])
        return self.on_grid(self._behind_own(row) if self.chain.class_blocks else row)

    def grad_eclip(
        self, queries: ir.Value, keys: ir.Value, values: ir.Value, gradients: ir.Value
    ) -> ir.Value:
        """Grad-ECLIP of the block that the class token is read off: [N, K, *grid].

        Args:
            queries: [N, heads, tokens, width]; of class attention, one.
            keys: [N, heads, tokens, width].
            values: Likewise.
            gradients: [N, K, heads, queries, width].
        """
        place, own = (self.chain.class_tokens or (0,))[0], bool(self.chain.class_blocks)
        first, end = self._bounds
        made = flow.grad_eclip(
            ALGEBRA,
            self._tokens(queries, 2, place, place + 1),
            self._tokens(keys, 2, first + own, end),
            self._tokens(values, 2, first + own, end),
            self._tokens(gradients, 3, place, place + 1),
        )
        return self._laid(made)

    def on_grid(self, row: Expression) -> ir.Value:
        """Rows [N, min(K, 1) or K, tokens] as [N, K, *grid]."""
        return self._laid(self._tokens(row.value, 2, *self._bounds))

    def _laid(self, row: Expression) -> ir.Value:
        emit = self.emit
        grid = [extent for extent in self.arrangement.grid if isinstance(extent, int)]
        batch = parts_of(next(iter(self.tensors.weights.values())), [0])
        each = emit.vector([*batch, emit.classes, math.prod(grid)])
        whole = row.op("Expand", each, role="each")
        return whole.op("Reshape", emit.vector([0, emit.classes, *grid]), role="map").value

    @property
    def _bounds(self) -> tuple[int, int]:
        """The first token of the grid, and the one behind its last."""
        suffix = self.arrangement.suffix
        return self.arrangement.prefix, -suffix if suffix else 2**31 - 1

    def _tokens(self, value: ir.Value, axis: int, first: int, end: int) -> Expression:
        return self._value(value).op("Slice", [first], [end], [axis], role="tokens")

    @property
    def _weights(self) -> list[Expression]:
        return [self._value(self.tensors.weights[one.name]) for one in self.chain.blocks]

    def _value(self, value: ir.Value) -> Expression:
        return Expression(self.emit, value)

    def _one(self) -> Expression:
        """1 as [1, min(K, 1), 1]: with K = 0 nothing that it is multiplied with is computed."""
        return self._gated(np.ones([1, 1, 1], np.float32))

    def _gated(self, rows: np.ndarray) -> Expression:
        emit = self.emit
        some = emit.op("Min", emit.classes, [1], role="some")
        shape = emit.vector([1, some, rows.shape[2]])
        value = emit.op("Expand", emit.constant(rows, SINGLE), shape, role="read",
                        shape=[1, None, rows.shape[2]])  # fmt: skip
        return self._value(value)

    def _read(self) -> Expression:
        """How the score reads the tokens: [1, min(K, 1), tokens]."""
        tokens = self.chain.tokens
        assert tokens is not None
        rows = np.zeros([1, 1, tokens], np.float32)
        first, end = self._bounds
        chosen = list(self.chain.class_tokens) or list(range(tokens))[first:end]
        rows[..., chosen] = 1 / len(chosen)
        return self._gated(rows)

    def _own(self) -> Expression:
        """1 at the class token of class attention, [1, min(K, 1), 1 + tokens]."""
        assert self.chain.tokens is not None
        return self._gated(np.eye(1, 1 + self.chain.tokens, dtype=np.float32)[None])

    def _behind_own(self, row: Expression) -> Expression:
        """The tokens behind the class token of class attention, of rows [N, J, 1 + tokens]."""
        return self._tokens(row.value, 2, 1, 2**31 - 1)
