"""This module scores classes of several outputs: a further input says which output each is of.

The tables of all outputs stand side by side in one, [N, columns], which one walk differentiates.
Class ids and ranks count within an output, so each request first takes the row of its own output.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

import numpy as np
import onnx_ir as ir

from ...runtime.spec import ScoreRecord
from ..differentiate.cotangent import Cotangent
from ..differentiate.support.values import static_extent
from ..errors import ScoreError
from ..graph.emitter import Dim, Emitter, dims_of
from ..locate.score_rules import check_flat
from .probability import Probabilities
from .seed import Selection, add_input, resolve, signs, with_opposite


def join_tables(
    emit: Emitter, tables: Sequence[ir.Value], scores: Sequence[ScoreRecord]
) -> ir.Value:
    """The tables of several outputs, [N, classes] each, side by side as [N, columns].

    Raises:
        ScoreError: One has positions, two are the same, or their batches differ.
    """
    owners: dict[ir.Value, str] = {}
    for table, score in zip(tables, scores, strict=True):
        if (twin := owners.setdefault(table, score.output)) != score.output:
            raise ScoreError(
                f"outputs {twin!r} and {score.output!r} have the same scores; name one of them"
            )
    for table, score in zip(tables, scores, strict=True):
        check_flat(score.output, dims_of(table))
    batches = {score.output: dims_of(table)[0] for table, score in zip(tables, scores, strict=True)}
    if len({extent for extent in batches.values() if isinstance(extent, int)}) > 1:
        raise ScoreError(f"the outputs have different batches, {batches}; export them one by one")
    with emit.scope("outputs"):
        shape = [dims_of(tables[0])[0], sum(static_extent(table, 1) for table in tables)]
        return _joined(emit, tables, "columns", 1, shape)


def add_output_request(
    emit: Emitter, tables: Sequence[ir.Value], columns: ir.Value, scores: Sequence[ScoreRecord],
    scale: float,
) -> tuple[ir.Value, ir.Value, Selection]:  # fmt: skip
    """Add `class_index` and `output_index`, and select what they ask for.

    Args:
        emit: Where nodes are added.
        tables: The scores' tables, [N, classes]; [N, 1] for a single logit.
        columns: All of them side by side.
        scores: What is differentiated.
        scale: See `seed.cotangent_scale`.

    Returns:
        The two inputs, and the selection, whose class ids count within their output.
    """
    # Their numbers of columns broadcast, so each has a name of its own for it.
    dims = [f"{name}_{axis}" for name in ("class_index", "output_index") for axis in ("batch", "K")]
    index = add_input(emit, "class_index", np.array([[-1]], np.int64), dims[:2])
    output_index = add_input(emit, "output_index", np.array([[0]], np.int64), dims[2:])
    probable = [
        Probabilities(emit, table, score)
        if score.kind in ("probability", "log_probability")
        else None
        for table, score in zip(tables, scores, strict=True)
    ]
    with emit.scope("outputs"):
        extents = emit.op("Shape", output_index, role="extents", shape=[2])
        both = emit.op("Expand", index, extents, role="both")
        wanted = emit.op("Expand", both, [(columns, 0), 1], role="wanted", shape=[None, None])
        emit.classes_dim = emit.vector([(wanted, 1)])
        extents = emit.op("Shape", wanted, role="extents", shape=[2])
        which = emit.op("Expand", output_index, extents, role="which")
        scored = [
            made.table if made else with_opposite(emit, table) if score.single_logit else table
            for table, score, made in zip(tables, scores, probable, strict=True)
        ]
        # Probabilities near 1 tie in float32; the logits that they are made of do not.
        ranking = [made.logits if made else one for made, one in zip(probable, scored, strict=True)]
        counts = [score.classes for score in scores]
        ids = _resolved(emit, ranking, counts, wanted, which)
        table = _joined(emit, scored, "table", 1)
        places = _places(emit, counts, ids, which)
        values = emit.op("GatherElements", table, places, role="scores", axis=1)
        seed = _seed(emit, tables, scores, probable, ids, which, scale)
    return index, output_index, Selection(ids, values, Cotangent(emit, columns, seed))


def _joined(
    emit: Emitter, values: Sequence[ir.Value], role: str, axis: int,
    shape: Sequence[Dim] | None = None,
) -> ir.Value:  # fmt: skip
    """Values side by side along ``axis``, in the widest of their types."""
    known = [value.dtype for value in values if value.dtype is not None]
    kind = max(known, key=lambda dtype: dtype.itemsize, default=None)
    parts = [emit.cast(value, kind, role) for value in values]
    return emit.op("Concat", *parts, role=role, shape=shape, axis=axis)


def _resolved(
    emit: Emitter, ranking: Sequence[ir.Value], counts: Sequence[int], wanted: ir.Value,
    which: ir.Value,
) -> ir.Value:  # fmt: skip
    """Class ids [N, K] within their outputs, of ids and ranks."""
    most = max(counts)
    rows: list[ir.Value] = []
    for row, count in zip(ranking, counts, strict=True):
        if count < most:  # with what ranks last
            row = emit.op("Pad", row, [0, 0, 0, most - count], -np.inf, role="row")
        rows.append(emit.op("Unsqueeze", row, [1], role="row"))
    stacked = _joined(emit, rows, "rows", 1)
    index = emit.op("Unsqueeze", which, [2], role="which")
    chosen = emit.op("GatherND", stacked, index, role="row_of", batch_dims=1)
    by_class = emit.op("Transpose", chosen, role="row_of", perm=[0, 2, 1])
    selected = emit.op("Unsqueeze", wanted, [1], role="wanted")
    return emit.op("Squeeze", resolve(emit, by_class, selected), [1], role="ids")


def _places(emit: Emitter, counts: Sequence[int], ids: ir.Value, which: ir.Value) -> ir.Value:
    """Where in the joined table the classes are; beyond its end, which fails, if nowhere.

    Without that, a class id that an output does not have would be one of the next output.
    """
    starts = [0, *accumulate(counts)]
    first = emit.op("Gather", emit.ints(starts[:-1]), which, role="first")
    count = emit.op("Gather", emit.ints(counts), which, role="count")
    place = emit.op("Add", first, ids, role="place")
    # A negative output_index would count from the end.
    named = emit.op("GreaterOrEqual", which, [0], role="named")
    known = emit.op("And", named, emit.op("Less", ids, count, role="known"), role="known")
    return emit.op("Where", known, place, [starts[-1]], role="place")


def _seed(
    emit: Emitter, tables: Sequence[ir.Value], scores: Sequence[ScoreRecord],
    probable: Sequence[Probabilities | None], ids: ir.Value, which: ir.Value, scale: float,
) -> ir.Value:  # fmt: skip
    """The cotangent [K, N, columns]: zero but in the columns of each request's output."""
    by_class = emit.op("Transpose", ids, role="by_class", perm=[1, 0])
    of_output = emit.op("Transpose", which, role="of_output", perm=[1, 0])
    parts: list[ir.Value] = []
    for number, (table, score, made) in enumerate(zip(tables, scores, probable, strict=True)):
        own = emit.op("Equal", of_output, [number], role="own")
        # No class has this id.
        local = emit.op("Where", own, by_class, [-1], role="local")
        if made is not None:
            slope = made.pull_back(Cotangent(emit, made.table, None, scale, one_hot=local)).dense()
            # A logarithm's slope is not zero where there is no class.
            column = emit.op("Unsqueeze", own, [-1], role="own")
            part = emit.op("Where", column, slope, 0.0, role="seed")
        elif score.single_logit:
            signed = emit.op("Mul", signs(emit, local, table), scale, role="seed")
            part = emit.op("Unsqueeze", emit.op("Where", own, signed, 0.0), [-1], role="seed")
        else:
            part = Cotangent(emit, table, None, scale, one_hot=local).dense()
        parts.append(part)
    return _joined(emit, parts, "seed", 2)
