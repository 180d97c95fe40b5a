"""`read_chain` says how attentions follow each other, and which of their tokens stand where."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ..graph.attributes import constant_ints
from ..graph.emitter import dims_of
from ..graph.queries import ancestors
from .attention import AttentionBlock, passes
from .lineage import lineages
from .token_readers import BY_TOKEN, TokenReaders


@dataclass(frozen=True)
class Chain:
    """Attentions of the same tokens, one behind the other.

    Attributes:
        blocks: Those in which every token looks at every token, in the order of the forward pass.
        streams: The tokens behind each of them, [N, tokens, C] or [tokens, N, C]: the sum that the
            next block reads.
        pool: The attention behind them by which one query collects the tokens, if there is one.
        class_tokens: The tokens that the score is read off; none where all are, or a pool, or
            class attention.
        tokens: Their number; None if it is open.
        class_blocks: Class attention (CaiT): the attentions behind the others by which a class
            token, put before the tokens there, collects itself and them, one behind the other.
    """

    blocks: tuple[AttentionBlock, ...]
    streams: tuple[ir.Value, ...]
    pool: AttentionBlock | None
    class_tokens: tuple[int, ...]
    tokens: int | None
    class_blocks: tuple[AttentionBlock, ...] = ()

    @property
    def collectors(self) -> tuple[AttentionBlock, ...]:
        """The blocks by which one token collects the others: a pool, or class attention."""
        return (self.pool,) if self.pool is not None else self.class_blocks

    @property
    def all_blocks(self) -> tuple[AttentionBlock, ...]:
        """The blocks, and behind them what collects."""
        return *self.blocks, *self.collectors

    @property
    def read_block(self) -> AttentionBlock:
        """The last block whose result a class token of the score takes."""
        return self.class_blocks[-1] if self.class_blocks else self.blocks[-1]


def read_chain(graph: ir.Graph, blocks: Sequence[AttentionBlock], score: ir.Value) -> Chain | None:
    """Read the chain that ends at the score; None where no attention is of all tokens.

    Windows have their own tokens, and so have attentions of thinned-out keys: they are in no chain.
    """
    reader = _Reader(graph, score)
    ending = list[AttentionBlock]()
    for block in reversed(blocks):
        if block.queries == 1 != block.keys:
            ending.insert(0, block)
        elif ending or _is_whole(block):
            break
    if ending:
        before = blocks[: blocks.index(ending[0])]
        found = reader.chain(before, None, tuple(ending)) or reader.chain(before, ending[-1])
        if found is not None:
            return found
    return reader.chain(blocks)


class _Reader:
    """Reads the chain of one graph."""

    def __init__(self, graph: ir.Graph, score: ir.Value) -> None:
        self._graph, self._score = graph, score
        # What inputs hold, not weights and sizes.
        self._fed = {value for value, known in lineages(graph).items() if known.content}

    def chain(
        self, blocks: Sequence[AttentionBlock], pool: AttentionBlock | None = None,
        class_blocks: tuple[AttentionBlock, ...] = (),
    ) -> Chain | None:  # fmt: skip
        """The chain before a pool or class attention; None where none leads there."""
        chained, streams = list[AttentionBlock](), list[ir.Value]()
        last: Sequence[ir.Value] = ()
        following = class_blocks[0] if class_blocks else pool
        keys = None if pool is None else pool.keys
        if class_blocks:
            keys = class_blocks[0].keys
            if keys is None or any(one.keys != keys for one in class_blocks):
                return None
            keys -= 1
        for block in reversed(blocks):
            if not _is_whole(block) or (following is not None and block.keys != keys):
                continue
            behind = list(passes(self._graph, block.weights, self._score))
            stream = _stream(behind, block, following, self._fed)
            if stream is None:
                continue
            if not chained:
                last, keys = behind, block.keys
            chained.insert(0, block)
            streams.insert(0, stream)
            following = block
        if not chained:
            return None
        if class_blocks and not _are_put_before(streams[-1], class_blocks, self._score):
            return None
        kind = _kind(streams[0], self._fed)
        if pool is None and not class_blocks and len(chained) > 1:
            # The last block's sum, not the norm behind it, is what the others' are.
            again = [one for one in last if _kind(one, self._fed) == kind]
            streams[-1] = again[-1] if again else streams[-1]
        chosen = () if pool or class_blocks else class_tokens(streams[-1], chained[-1].keys)
        return Chain(tuple(chained), tuple(streams), pool, chosen, chained[-1].keys, class_blocks)


def _are_put_before(
    stream: ir.Value, class_blocks: Sequence[AttentionBlock], score: ir.Value
) -> bool:
    """Whether the score follows tokens by class attention alone, with one token before them."""
    results = {block.product.outputs[0] for block in class_blocks}
    return TokenReaders(ancestors(score, results) - results).only_prefix(stream, 0)


def _is_whole(block: AttentionBlock) -> bool:
    """Whether every token looks at every token."""
    dims = dims_of(block.weights)
    return dims[-1] == dims[-2]


def _stream(
    behind: Sequence[ir.Value], block: AttentionBlock, following: AttentionBlock | None,
    fed: Collection[ir.Value],
) -> ir.Value | None:  # fmt: skip
    """The last sum behind a block that holds its tokens, and that the next block reads."""
    read = None if following is None else ancestors(following.weights)
    sums = [
        value
        for value in behind
        if _holds(value, block.queries) and _is_sum(value, fed) and (read is None or value in read)
    ]
    return sums[-1] if sums else None


def _holds(value: ir.Value, tokens: int | None) -> bool:
    if value.shape is None or len(value.shape) != 3:
        return False
    return tokens is None or tokens in dims_of(value)[:2]


def _is_sum(value: ir.Value, fed: Collection[ir.Value]) -> bool:
    """Whether it is a sum of two branches: neither a bias nor a norm written out."""
    node = value.producer()
    if node is None or node.op_type not in ("Add", "Sum"):
        return False
    return all(one in fed for one in node.inputs)


def _kind(value: ir.Value, fed: Collection[ir.Value]) -> tuple[object, ...]:
    node = value.producer()
    return None if node is None else node.op_type, *dims_of(value), _is_sum(value, fed)


def class_tokens(stream: ir.Value, tokens: int | None) -> tuple[int, ...]:
    """The tokens that the model takes out of the last block's; none where it takes all."""
    axis = 0 if tokens is not None and dims_of(stream)[0] == tokens else 1
    pending, seen, found = [stream], {stream}, set[int]()
    while pending:
        value = pending.pop()
        for use in value.uses():
            node = use.node
            taken = _taken(node, axis, tokens)
            if taken is not None:
                found.update(taken)
            elif node.op_type in BY_TOKEN and node.outputs[0] not in seen:
                after = node.outputs[0]
                if after.shape is not None and len(after.shape) == len(dims_of(stream)):
                    seen.add(after)
                    pending.append(after)
    return tuple(sorted(found))


def _taken(node: ir.Node, axis: int, tokens: int | None) -> list[int] | None:
    """The few tokens that a Gather or a Slice takes; None for another node, or for many."""
    if node.op_type == "Gather" and node.attributes.get_int("axis", 0) == axis:
        places = constant_ints(node.inputs[1])
        if places is None or len(places) > 2:
            return None
        return [one + (tokens or 0) if one < 0 else one for one in places]
    if node.op_type == "Slice" and len(node.inputs) > 3:
        starts, ends, axes = (constant_ints(one) for one in node.inputs[1:4])
        if axes == [axis] and starts and ends and 0 <= starts[0] < ends[0] <= starts[0] + 2:
            return list(range(starts[0], ends[0]))
    return None
