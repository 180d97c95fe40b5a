"""`find_attention` finds the attention of a captured model, with the places of its tokens."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from ...runtime.spec.attention import Role
from ..capture.layouts import settle_layouts
from ..capture.onnx_file import Captured
from ..errors import LayerError
from ..graph.emitter import Dim, dims_of
from ..graph.regroup import regrouped
from ..locate.arrangement import Arrangement
from ..locate.attention import AttentionBlock, attention_blocks, fused_attention, mixes_channels
from ..locate.attention_chain import Chain, read_chain
from ..locate.score import Located
from .open_attention import open_attention


@dataclass(frozen=True)
class AttentionFound:
    """A model's attention.

    Attributes:
        blocks: All blocks, in the order of the forward pass; their weights are [N, heads, queries,
            keys], or [N, windows, heads, queries, keys].
        chain: How those of all tokens follow each other; None where there are none.
        arrangement: Where the tokens of the chain stand; None likewise.
        doubt: Why there is no chain although blocks look at all tokens: these stand nowhere.
    """

    blocks: tuple[AttentionBlock, ...]
    chain: Chain | None
    arrangement: Arrangement | None
    doubt: str = ""

    def role(self, block: AttentionBlock) -> Role:
        """What a block is to the chain."""
        if self.chain is None:
            return "apart"
        if any(one.name == block.name for one in self.chain.blocks):
            return "chain"
        if not any(one.name == block.name for one in self.chain.collectors):
            return "apart"
        return "class" if self.chain.class_blocks else "pool"

    @property
    def apart(self) -> list[str]:
        """Names of the blocks that are in no chain."""
        return [block.name for block in self.blocks if self.role(block) == "apart"]


def find_attention(captured: Captured, located: Sequence[Located]) -> AttentionFound:
    """Find the attention that leads to the score.

    The graph gets Reshapes where heads or windows are joined with the batch.

    Raises:
        LayerError: The model has no attention, or does not show where its batch is.
    """
    graph, score = captured.model.graph, located[0].value
    if located[0].detection is not None:
        raise LayerError(
            "attention of a detector is not exported: its boxes look at the image each by its own; "
            "leave 'attention' and methods of attention out, and explain it by `hirescam`"
        )
    open_attention(captured.model, score)
    blocks = attention_blocks(graph, score)
    if not blocks:
        raise LayerError(_why_none(graph, score))
    chain = read_chain(graph, blocks, score)
    arrangement, doubt = None, ""
    if chain is not None and chain.tokens is None:
        name, chain = chain.blocks[-1].name, None
        doubt = f"the number of tokens of {name!r} is open; fix it with shapes (--shape)"
    elif chain is not None:
        try:
            arrangement = _arrangement(captured, chain)
        except LayerError as error:
            chain, doubt = None, str(error)
    chained = set[str]() if chain is None else {one.name for one in chain.blocks}
    laid = {block.name: _laid_out(graph, block, block.name in chained) for block in blocks}
    if chain is not None:
        chain = _with_laid(chain, laid)
    return AttentionFound(tuple(laid.values()), chain, arrangement, doubt)


def _with_laid(chain: Chain, laid: Mapping[str, AttentionBlock]) -> Chain:
    return replace(
        chain, blocks=tuple(laid[one.name] for one in chain.blocks),
        pool=None if chain.pool is None else laid[chain.pool.name],
        class_blocks=tuple(laid[one.name] for one in chain.class_blocks),
    )  # fmt: skip


def _why_none(graph: ir.Graph, score: ir.Value) -> str:
    fused = fused_attention(graph)
    if fused is not None:
        return (
            f"{fused.op_type} {fused.name!r} (com.microsoft) holds a whole attention, whose "
            "weights cannot be read; export the model without ONNX Runtime's optimisations of "
            "transformers"
        )
    if mixes_channels(graph, score):
        return (
            "each attention of the model is of channels by channels: no place looks at places; "
            "explain a layer instead (`graftcam layers` lists them)"
        )
    return (
        "the model has no attention: no Softmax stands between two products on the way to the "
        "score; explain a layer instead (`graftcam layers` lists them)"
    )


def _arrangement(captured: Captured, chain: Chain) -> Arrangement:
    """Where the tokens behind the last block stand, which must be shown.

    Raises:
        LayerError: They stand nowhere, or in an order that is not the input's.
    """
    name = chain.blocks[-1].name
    site = replace(captured, targets={name: chain.streams[-1]}, arranged={}, notes=[])
    settle_layouts(site)
    found = site.arranged[name]
    captured.notes.extend(site.notes)
    if found.layout != "tokens":
        raise LayerError(
            f"the tokens of attention {name!r} do not stand on a grid in the order of the input"
        )
    return found


def _laid_out(graph: ir.Graph, block: AttentionBlock, chained: bool) -> AttentionBlock:
    """A block with its batch on an axis of its own.

    Args:
        graph: The graph.
        block: The block.
        chained: Whether its tokens are those of the whole image: what is joined with the batch are
            the heads then, and an axis of 1 behind them has no meaning.

    Raises:
        LayerError: The graph does not show how many heads or windows share the axis.
    """
    dims = dims_of(block.weights)
    count = joined_with(dims[0], [dims_of(one)[0] for one in graph.inputs if one.shape])
    if count == 1 and len(dims) > 3:
        return block
    if count is None or not all(isinstance(extent, int) for extent in dims[1:]):
        raise LayerError(
            f"attention {block.name!r} has weights {dims}: the graph does not show how many heads "
            "or windows share the batch's axis"
        )
    inner = dims[2:] if chained and len(dims) == 4 and dims[1] == 1 else dims[1:]
    return replace(block, weights=regrouped(graph, block.weights, count, inner))


def joined_with(extent: Dim, batches: Sequence[Dim]) -> int | None:
    """How many rows each example has along an axis; None where that is not shown."""
    for batch in batches:
        if extent == batch:
            return 1
        if isinstance(extent, int) and isinstance(batch, int) and batch and not extent % batch:
            return extent // batch
        if isinstance(extent, str) and isinstance(batch, str):
            factor, _, name = extent.replace(" ", "").partition("*")
            factor, name = (name, factor) if name.isdigit() else (factor, name)
            if name == batch and factor.isdigit():
                return int(factor)
    return None
