"""This module lists the layers of an ONNX graph: what it shows of each value, for `layer_rules`."""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from ..graph.emitter import Dim, constant_of, dims_of
from ..graph.queries import ancestors
from .candidate import Candidate
from .instances import bags_of
from .layer_rules import LayerFacts, Surroundings, judge_layer, ranked
from .layout import read_layout
from .lineage import Lineage, lineages
from .moves import PASSIVE, Moves
from .token_readers import TokenReaders

# Operators whose result has the grid of an image.
_SPATIAL = frozenset({"Conv", "ConvTranspose", "MaxPool", "AveragePool", "Resize"})


def graph_candidates(graph: ir.Graph, score: ir.Value) -> list[Candidate]:
    """List values that could be explained, the automatic choice first; see `layer_rules.ranked`."""
    leading, maps, before = ancestors(score), _class_maps(score), lineages(graph)
    images = {value for value in graph.inputs if _is_float_map(value)}
    moves, readers = Moves(graph), TokenReaders()
    found = [
        replace(
            _facts(node, value, before[value], leading, maps, moves, readers),
            blind=bool(images) and images.isdisjoint(before[value].inputs),
        )
        for node in graph
        for value in node.outputs
        if _is_float_map(value) and value is not score
    ]
    grids = [
        tuple(dims_of(node.outputs[0])[2:]) for node in graph
        if node.op_type in _SPATIAL and node.outputs[0].shape is not None
    ]  # fmt: skip
    tokens = [one.shape for one in found if one.tokens and not one.branch]
    around, others = Surroundings.of(grids, tokens), other_batches(graph, score)
    found = [replace(one, on_batch=False) if one.shape[0] in others else one for one in found]
    return ranked([judge_layer(facts, around) for facts in found])


def other_batches(graph: ir.Graph, score: ir.Value) -> set[Dim]:
    """First extents of inputs that are not the score's batch, if that is open.

    Those of texts that every image is compared with, for example. A fixed 1 may be anything.
    """
    batch = dims_of(score)[0]
    firsts = {dims_of(value)[0] for value in graph.inputs if value.shape}
    return firsts - {batch, 1, None} if isinstance(batch, str) and batch in firsts else set()


def is_explicable(graph: ir.Graph, value: ir.Value, leading: set[ir.Value]) -> bool:
    """Whether a map of a value makes sense: it has places, and features of its own.

    Args:
        graph: The model.
        value: Of the graph.
        leading: What the score depends on.
    """
    node = value.producer()
    if node is None or not _is_float_map(value):
        return False
    lineage, moves = lineages(graph)[value], Moves(graph)
    facts = _facts(node, value, lineage, leading, set(), moves, TokenReaders())
    return judge_layer(facts, Surroundings()).usable


def _is_float_map(value: ir.Value) -> bool:
    """Whether a value has a name, three axes or more, and a float type."""
    if not value.name or value.shape is None or len(value.shape) < 3:
        return False
    return value.dtype is not None and value.dtype.is_floating_point()


def _facts(
    node: ir.Node, value: ir.Value, lineage: Lineage, leading: set[ir.Value], maps: set[ir.Value],
    moves: Moves, readers: TokenReaders,
) -> LayerFacts:  # fmt: skip
    """What the graph shows of a node's output."""
    layout = read_layout(value, lineage)
    found = layout.found
    prefix = 0 if found is None else found.prefix
    suffix = 0 if found is None else found.suffix
    sums = node.op_type == "Add" and all(constant_of(v) is None for v in node.inputs)
    codes = node.inputs[0].uses() if node.inputs and node.inputs[0] is not None else ()
    return LayerFacts(
        value.name or "",
        node.op_type,
        tuple(dims_of(value)),
        on_batch=layout.on_batch or bags_of(value) is not None,
        tokens=layout.tokens,
        grids=tuple(dict.fromkeys(one.grid for one in layout.options)),
        branch=not sums and node.op_type != "LayerNormalization",
        connected=value in leading,
        gradient=not (
            (prefix and readers.only_prefix(value, prefix))
            or (suffix and readers.only_suffix(value, suffix))
        ),
        class_map=value in maps,
        passive=moves.passive(node),
        # Whether it reads codes that others read as well.
        bypassed=node.op_type == "DequantizeLinear" and len(list(codes)) > 1,
    )


def _class_maps(score: ir.Value) -> set[ir.Value]:
    """Values that scores with positions are merely moved, resized or added up from."""
    maps: set[ir.Value] = set()
    stack = [score] if len(dims_of(score)) > 2 else []
    while stack:
        value = stack.pop()
        if value in maps:
            continue
        maps.add(value)
        producer = value.producer()
        if producer is not None and producer.op_type in PASSIVE | {"Add"}:
            stack += [before for before in producer.inputs if before is not None]
    return maps
