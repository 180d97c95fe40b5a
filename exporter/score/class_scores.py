"""This module lays out the class scores, and adds the inputs of a request, as nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...runtime.spec import ScoreRecord
from ..differentiate.support.values import static_extent
from ..graph.emitter import Emitter, dims_of
from ..locate.score import Located
from .linear import add_score_weights, select_linear
from .probability import Probabilities
from .region import add_region, select_in_region
from .seed import Selection, add_class_index, select
from .several_outputs import add_output_request, join_tables
from .similarity import bank_table, scaled_directions, select_similar


@dataclass(frozen=True)
class RequestInputs:
    """The inputs that say what to explain; None where the artifact does not have one."""

    class_index: ir.Value | None = None
    region: ir.Value | None = None
    score_weights: ir.Value | None = None
    output_index: ir.Value | None = None


def class_table(emit: Emitter, located: Located) -> ir.Value:
    """The located values as [N, classes, *positions].

    Entries that are no classes are cut off, and the classes' axis is moved to the second place. Of
    an embedding they are the similarities to a bank's texts; without a bank, the scaled direction.
    """
    value, axis, how = located.value, located.axis, located.score.similarity
    if how is not None:  # of an embedding
        if located.bank is not None:
            return bank_table(emit, value, located.bank, how)
        return scaled_directions(emit, value, how)
    if located.score.kind == "linear":
        return value
    dims = dims_of(value)
    with emit.scope("table"):
        if located.offset:
            extent = static_extent(value, axis)
            dims[axis] = extent - located.offset
            bounds = [located.offset], [extent], [axis]
            value = emit.op("Slice", value, *bounds, role="classes", shape=dims)
        if axis == 1:
            return value
        perm = [0, axis, *(other for other in range(1, len(dims)) if other != axis)]
        shape = [dims[place] for place in perm]
        return emit.op("Transpose", value, role="table", shape=shape, perm=perm)


def scores_table(emit: Emitter, tables: Sequence[ir.Value], located: Sequence[Located]) -> ir.Value:
    """The tables of all outputs, from `class_table`, as the one that is differentiated.

    Raises:
        ScoreError: Several outputs cannot be explained together.
    """
    if len(tables) == 1:
        return tables[0]
    return join_tables(emit, tables, [one.score for one in located])


def add_request(
    emit: Emitter, tables: Sequence[ir.Value], table: ir.Value, scores: Sequence[ScoreRecord],
    scale: float,
) -> tuple[RequestInputs, Selection]:  # fmt: skip
    """Add the inputs that say what to explain, and select it.

    Args:
        emit: Where nodes are added.
        tables: The table of each output, from `class_table`.
        table: From `scores_table`.
        scores: What is differentiated.
        scale: See `seed.cotangent_scale`.
    """
    if len(scores) > 1:
        index, output_index, chosen = add_output_request(emit, tables, table, scores, scale)
        return RequestInputs(index, output_index=output_index), chosen
    (score,) = scores
    if score.kind == "linear":
        weights = add_score_weights(emit, table)
        chosen = select_linear(emit, table, weights, scale=scale)
        return RequestInputs(score_weights=weights), chosen
    if score.kind == "similarity" and score.similarity is not None:
        texts = add_score_weights(emit, table)
        chosen = select_similar(emit, table, texts, score.similarity, scale=scale)
        return RequestInputs(score_weights=texts), chosen
    index = add_class_index(emit)
    single, probabilities, scored = score.single_logit, None, table
    if score.kind in ("probability", "log_probability"):
        probabilities = Probabilities(emit, table, score)
        single, scored = False, probabilities.table
    if len(dims_of(table)) > 2:
        region = add_region(emit, table)
        mean = score.kind == "channel"
        chosen = select_in_region(
            emit, scored, index, region, single_logit=single, scale=scale, mean=mean
        )
    else:
        region = None
        # Probabilities near 1 tie in float32; the logits that they are made of do not.
        ranking = None if probabilities is None else probabilities.logits
        chosen = select(emit, scored, index, single_logit=single, scale=scale, ranking=ranking)
    if probabilities is not None:
        chosen = Selection(chosen.classes, chosen.scores, probabilities.pull_back(chosen.seed))
    return RequestInputs(index, region), chosen
