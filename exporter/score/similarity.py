"""This module scores an embedding by its cosine to the embeddings of texts, times a scale.

The texts' embeddings are fed, or are the constant of a bank. Both vectors are divided by their
lengths in the graph, in float32.
"""

from __future__ import annotations

from dataclasses import replace

import onnx_ir as ir

from ...runtime.inputs.bank import Bank
from ...runtime.settings import Similarity
from ..graph.emitter import Emitter, dims_of
from ..graph.precision import SINGLE
from .linear import select_linear
from .seed import Selection

_SHORTEST = 1e-12  # zeros have no direction: their cosine is 0, and so is its gradient


def unit_vectors(emit: Emitter, vectors: ir.Value) -> ir.Value:
    """Vectors [..., width] divided by their lengths, in float32."""
    wide = vectors if vectors.dtype == ir.DataType.DOUBLE else emit.cast(vectors, SINGLE, "wide")
    dims = dims_of(wide)
    lengths = [*dims[:-1], 1]
    last = [len(dims) - 1]
    length = emit.op("ReduceL2", wide, last, role="length", shape=lengths, keepdims=1)
    floor = emit.scalar(_SHORTEST, wide)
    length = emit.op("Max", length, floor, role="length", shape=lengths)
    return emit.op("Div", wide, length, role="unit", shape=dims)


def bank_table(emit: Emitter, embedding: ir.Value, bank: Bank, how: Similarity) -> ir.Value:
    """The scores of all texts of a bank, [N, texts]: ``scale * cosine + bias``.

    Args:
        emit: Where nodes are added.
        embedding: [N, width].
        bank: The texts.
        how: Scale and bias.
    """
    with emit.scope("similarity"):
        unit = unit_vectors(emit, embedding)
        vectors = emit.constant(bank.vectors, unit.dtype)
        operands = [unit, vectors]
        if how.bias:
            operands.append(emit.scalar(how.bias, unit))
        shape = [dims_of(embedding)[0], len(bank.names)]
        return emit.op("Gemm", *operands, role="table", shape=shape, transB=1, alpha=how.scale)


def scaled_directions(emit: Emitter, embedding: ir.Value, how: Similarity) -> ir.Value:
    """The table whose inner product with a text's unit vector is the scaled cosine, [N, width]."""
    with emit.scope("similarity"):
        unit = unit_vectors(emit, embedding)
        return emit.op("Mul", unit, how.scale, role="table", shape=dims_of(embedding))


def select_similar(
    emit: Emitter, table: ir.Value, texts: ir.Value, how: Similarity, *, scale: float = 1.0
) -> Selection:
    """Score by ``scale * cosine + bias`` to texts, and seed the walk with their unit vectors.

    Args:
        emit: Where nodes are added.
        table: From `scaled_directions`.
        texts: float32 [N or 1, K, width], embeddings of any length.
        how: The bias; the scale is in the table.
        scale: What the seed is multiplied with; see `seed.cotangent_scale`.
    """
    with emit.scope("texts"):
        directions = unit_vectors(emit, texts)
    chosen = select_linear(emit, table, directions, scale=scale)
    if not how.bias:
        return chosen
    with emit.scope("similarity"):
        return replace(chosen, scores=emit.op("Add", chosen.scores, how.bias, role="scores"))
