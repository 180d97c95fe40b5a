"""This module selects the explained classes: from ``class_index`` to ids, scores and a seed."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ..differentiate.cotangent import Cotangent
from ..graph.emitter import Emitter
from ..graph.precision import FLOAT16_SCALE


@dataclass(frozen=True)
class Selection:
    """What is explained.

    Attributes:
        classes: int64 [N, K], ids; None where the caller feeds weights of the whole output.
        scores: float [N, K].
        seed: Cotangent of the score tensor.
    """

    classes: ir.Value | None
    scores: ir.Value
    seed: Cotangent


def add_input(emit: Emitter, name: str, default: np.ndarray, dims: Sequence[str]) -> ir.Value:
    """Add an input, with a default unless the profile has no optional inputs.

    An input that is also an initializer is optional: ONNX Runtime lists it among the overridable
    initializers, and a caller that knows nothing of it gets its default.
    """
    tensor = ir.tensor(default, name=emit.unique(name))
    value = ir.Value(name=tensor.name, type=ir.TensorType(tensor.dtype), shape=ir.Shape(dims))
    emit.graph.inputs.append(value)
    if emit.profile.optional_inputs:
        value.const_value = tensor
        emit.graph.register_initializer(value)
    return value


def add_class_index(emit: Emitter) -> ir.Value:
    """The input int64 [N or 1, K], the predicted class by default, and K as an extent."""
    default = np.array([[-1]], np.int64)
    value = add_input(emit, "class_index", default, ["class_index_batch", "K"])
    emit.classes_dim = emit.vector([(value, 1)])
    return value


def cotangent_scale(active: Iterable[ir.Value], limit: float = math.inf) -> float:
    """The factor by which the cotangents of ``active`` are larger than the gradients.

    Every rule is linear in the cotangent, so one number serves all of them, wherever the model
    casts between types. It is a factor of the seed and not a lazy one, which would leave the
    numbers small. bfloat16 has float32's range and needs none.

    Args:
        active: The values.
        limit: The largest that leaves room for large gradients; see `half_range`.
    """
    half = any(value.dtype is ir.DataType.FLOAT16 for value in active)
    return min(FLOAT16_SCALE, limit) if half else 1.0


def select(
    emit: Emitter,
    scores: ir.Value,
    class_index: ir.Value,
    *,
    single_logit: bool,
    scale: float = 1.0,
    ranking: ir.Value | None = None,
) -> Selection:
    """Resolve ranks to class ids and seed the walk with a 1 at each selected class.

    Args:
        emit: Where nodes are added.
        scores: [N, classes]; [N, 1] for a single logit.
        class_index: int64 [N or 1, K]: ids from 0, ranks from -1 (the best) downwards.
        single_logit: Explain class 1 as the logit and class 0 as its negative.
        scale: The number in the seed instead of 1; see `cotangent_scale`.
        ranking: [N, classes] to rank by instead of the scores.
    """
    with emit.scope("classes"):
        table = with_opposite(emit, scores) if single_logit else scores
        requested = emit.op("Expand", class_index, [(scores, 0), 1], role="wanted")
        ids = resolve(emit, table if ranking is None else ranking, requested)
        values = emit.op("GatherElements", table, ids, role="scores", axis=1)
        by_class = emit.op("Transpose", ids, role="by_class", perm=[1, 0])
        if not single_logit:
            return Selection(ids, values, Cotangent(emit, scores, None, scale, one_hot=by_class))
        column = emit.op("Unsqueeze", signs(emit, by_class, scores), [-1])
        return Selection(ids, values, Cotangent(emit, scores, column, scale).scaled())


def with_opposite(emit: Emitter, logit: ir.Value) -> ir.Value:
    """Scores of both classes of a single logit, along axis 1."""
    opposite = emit.op("Neg", logit, role="opposite")
    return emit.op("Concat", opposite, logit, role="table", axis=1)


def signs(emit: Emitter, ids: ir.Value, like: ir.Value) -> ir.Value:
    """Signs that a single logit has as the score of classes 0 and 1, in the type of ``like``."""
    # Class 0 counts downwards: 2 * id - 1.
    sign = emit.op("Sub", emit.op("Mul", ids, [2]), [1], role="sign")
    return emit.cast(sign, like.dtype, "sign")


def resolve(emit: Emitter, table: ir.Value, selected: ir.Value) -> ir.Value:
    """Replace negative ranks along axis 1 by the ids at these ranks, in the shape of ``selected``.

    Args:
        emit: Where nodes are added.
        table: Scores, the classes along axis 1.
        selected: int64 ids and ranks; other axes as those of ``table``.
    """
    rank = emit.op("Sub", [-1], selected, role="rank")
    if emit.profile.sizes_from_data:
        depth = _deepest(emit, rank)
    else:
        depth = emit.op("Shape", table, role="depth", shape=[1], start=1, end=2)
    types = [table.dtype, ir.DataType.INT64]
    ranked = emit.ops("TopK", table, depth, count=2, role="top", dtype=types, axis=1)[1]
    place = emit.op("Max", rank, [0], role="place")
    by_rank = emit.op("GatherElements", ranked, place, role="held", axis=1)
    is_rank = emit.op("Less", selected, [0], role="is_rank")
    return emit.op("Where", is_rank, by_rank, selected, role="ids")


def _deepest(emit: Emitter, rank: ir.Value) -> ir.Value:
    """The number of best classes that must be found: a CPU sorts no more than these."""
    # The 0 keeps the maximum defined when K is 0.
    flat = emit.op("Concat", emit.op("Reshape", rank, [-1]), [0], axis=0)
    depth = emit.op("ReduceMax", flat, [0], role="depth", keepdims=1)
    return emit.op("Add", depth, [1], role="depth")
