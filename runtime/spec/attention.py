"""`Attention` is the part of an artifact's metadata about attention."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Literal

from ..bounds import Axis, Count, Length, MethodId, Name, Positive
from ..records import Fault, Record

Role = Literal["chain", "pool", "class", "apart"]


@dataclass(frozen=True)
class AttentionBlock:
    """One attention, and the outputs that describe it.

    Attributes:
        name: Module path, or the name of the weights.
        value: The ONNX value of the weights: what the softmax gives.
        role: ``chain``: every token looks at every token of the image, behind the block before it;
            ``pool``: one query collects the tokens behind the chain; ``class``: so does a class
            token, which is put before them there and is the first key; ``apart``: any other,
            such as one in windows, whose tokens have a grid of their own.
        tokens: The ONNX value of the tokens behind it, [N, tokens, C] or [tokens, N, C]; only of
            role ``chain``.
        weights: Name of the output, float32 [N, heads, queries, keys], or [N, windows, heads,
            queries, keys] in windows; None where it stays in the graph, and so are all that follow.
        gradients: Name of the output, float32 [N, K, *weights].
        queries: Name of the output, float32 [N, heads, queries, width]; of the last block only.
        keys: Name of the output, float32 [N, heads, keys, width]; likewise.
        values: Name of the output, float32 [N, heads, keys, width]; likewise.
        result_gradients: Name of the output, float32 [N, K, heads, queries, width]: the score's
            gradient with respect to the products of weights and values; likewise.
    """

    name: Name
    value: Name
    role: Role
    tokens: Name | None = None
    weights: Name | None = None
    gradients: Name | None = None
    queries: Name | None = None
    keys: Name | None = None
    values: Name | None = None
    result_gradients: Name | None = None

    @property
    def outputs(self) -> list[str]:
        """Names of all outputs that describe it."""
        found = (self.weights, self.gradients, self.queries, self.keys, self.values,
                 self.result_gradients)  # fmt: skip
        return [name for name in found if name is not None]


@dataclass(frozen=True)
class Attention(Record):
    """The attention of a model, from the first block to the last.

    Attributes:
        blocks: The blocks, in the order of the forward pass.
        class_tokens: The tokens that the score is read off: a class token, and perhaps one of
            distillation. Empty: all tokens, or blocks of role ``pool`` or ``class``.
        grid: Spatial shape of the maps, those of the tokens of role ``chain``; None for an open
            extent; empty where no block is of that role.
        prefix_tokens: Tokens before the grid: class, distillation, register.
        suffix_tokens: Tokens behind the grid; not in the JSON if there are none.
        input_axes: The input's axes that those of the grid run along (the batch is axis 0), where
            they run in another order; else not in the JSON.
        methods: Names of the outputs, float32 [N, K, *grid], of maps that the artifact makes
            itself, by their ids; not in the JSON if there are none.
    """

    blocks: Annotated[list[AttentionBlock], Length(1)]
    class_tokens: list[Count]
    grid: Annotated[list[Positive | None], Length(0, 8)]
    prefix_tokens: Count
    suffix_tokens: Count | None = None
    input_axes: list[Axis] | None = None
    methods: dict[MethodId, Name] | None = None

    def faults(self) -> Iterator[Fault]:
        """See `Record`."""
        names = [block.name for block in self.blocks]
        if len({*names}) < len(names):
            yield "blocks", "blocks of different names"
        if len({*self.outputs}) < len(self.outputs):
            yield "blocks", "blocks with an output of its own for each tensor"
        axes = self.input_axes
        if axes is not None and not len({*axes}) == len(axes) == len(self.grid):
            yield "input_axes", f"a different axis for each of the {len(self.grid)} of the grid"

    @property
    def chain(self) -> list[AttentionBlock]:
        """The blocks in which every token looks at every token."""
        return [block for block in self.blocks if block.role == "chain"]

    @property
    def pool(self) -> AttentionBlock | None:
        """The block by which one query collects the tokens."""
        return next((block for block in self.blocks if block.role == "pool"), None)

    @property
    def class_blocks(self) -> list[AttentionBlock]:
        """The blocks by which a class token collects the tokens, one behind the other."""
        return [block for block in self.blocks if block.role == "class"]

    @property
    def collectors(self) -> list[AttentionBlock]:
        """The blocks by which one token collects the others: a pool, or class attention."""
        return [self.pool] if self.pool is not None else self.class_blocks

    @property
    def own_keys(self) -> int:
        """Number of keys of the collectors before the chain's tokens: the class token itself."""
        return 1 if self.class_blocks else 0

    @property
    def flowing(self) -> list[AttentionBlock]:
        """The chain, and what collects behind it."""
        return [*self.chain, *self.collectors]

    @property
    def read_block(self) -> AttentionBlock:
        """The last block whose result a class token of the score takes."""
        return (self.class_blocks or self.chain)[-1]

    @property
    def outputs(self) -> list[str]:
        """Names of all outputs that describe attention."""
        tensors = [name for block in self.blocks for name in block.outputs]
        return [*tensors, *(self.methods or {}).values()]
