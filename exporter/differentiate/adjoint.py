"""Lazy cotangents.

An adjoint belongs to one forward value with shape ``dims`` and stands for a tensor
``[K, *dims]``: the gradient of K class scores with respect to that value. It is kept as a smaller
tensor as long as possible: a scalar factor is not multiplied in, and an axis along which the
cotangent is constant (the adjoint of a mean) is not expanded. So a head of pooling and a linear
layer collapses to one row of the weight matrix, which is plain CAM.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from ..graph.emitter import Emitter, dims_of


@dataclass(frozen=True)
class Adjoint:
    """The cotangent ``factor * broadcast(value)``.

    Attributes:
        value: Tensor [K, *dims], with extent 1 along the axes in ``spread``.
        factor: Scalar still to be multiplied in.
        spread: Axes of the forward value (K not counted) that ``value`` is broadcast along.
    """

    value: ir.Value
    factor: float = 1.0
    spread: frozenset[int] = frozenset()


@dataclass(frozen=True)
class OneHot:
    """The cotangent of class scores: 1 (or ``value``) at ``index[k, n]`` for each k and n, else 0.

    Attributes:
        index: int64 [K, N], places along the scores' axis 1.
        value: [K, N, 1, *positions] for scores with positions; None for ones, where
            the scores are [N, classes].
        scale: What stands there instead of the ones; see `seed.cotangent_scale`.
    """

    index: ir.Value
    value: ir.Value | None = None
    scale: float = 1.0


# What a rule returns for one input: nothing, a dense tensor [K, *dims], or a lazy cotangent.
Result: TypeAlias = Adjoint | ir.Value | None


def expand_one_hot(emit: Emitter, seed: OneHot, scores: ir.Value) -> Adjoint:
    """Write the selection out as a tensor [K, N, classes, *positions]."""
    dims = dims_of(scores)
    if not isinstance(dims[1], int):
        raise ValueError(f"scores {scores.name!r} have no static class count")
    axes = range(2, 1 + len(dims))
    index = emit.op("Unsqueeze", seed.index, emit.ints(axes), role="selected")
    places = np.arange(dims[1]).reshape(-1, *[1] * (len(dims) - 2))
    hits = emit.op("Equal", index, emit.constant(places), role="hits", dtype=ir.DataType.BOOL)
    if seed.value is not None:
        zero = emit.scalar(0.0, seed.value)
        return Adjoint(
            emit.op("Where", hits, seed.value, zero, role="seed", dtype=seed.value.dtype)
        )
    assert scores.dtype is not None
    ones = emit.op("Cast", hits, role="seed", dtype=scores.dtype, to=int(scores.dtype))
    return scaled(emit, Adjoint(ones, seed.scale))


def scaled(emit: Emitter, adjoint: Adjoint) -> Adjoint:
    """Multiply the factor in."""
    if adjoint.factor == 1.0:
        return adjoint
    value = emit.op("Mul", adjoint.value, emit.scalar(adjoint.factor, adjoint.value), role="scaled")
    return Adjoint(value, 1.0, adjoint.spread)


def expanded(emit: Emitter, adjoint: Adjoint, forward: ir.Value, axes: Iterable[int]) -> Adjoint:
    """Expand those of ``axes`` that the cotangent of ``forward`` is spread along."""
    wanted = adjoint.spread.intersection(axes)
    if not wanted:
        return adjoint
    dims = dims_of(forward)
    shape = emit.vector(
        [1, *(emit_part(forward, axis) if axis in wanted else 1 for axis in range(len(dims)))]
    )
    value = emit.op("Expand", adjoint.value, shape, role="spread")
    return Adjoint(value, adjoint.factor, adjoint.spread - wanted)


def emit_part(value: ir.Value, axis: int) -> int | tuple[ir.Value, int]:
    """Extent of ``value`` along ``axis`` for `Emitter.vector`: static, or read at run time."""
    extent = dims_of(value)[axis]
    return extent if isinstance(extent, int) else (value, axis)


def dense(emit: Emitter, adjoint: Adjoint | OneHot, forward: ir.Value) -> ir.Value:
    """The whole cotangent of ``forward`` as one tensor [K, *dims]."""
    if isinstance(adjoint, OneHot):
        adjoint = expand_one_hot(emit, adjoint, forward)
    rank = len(dims_of(forward))
    return scaled(emit, expanded(emit, adjoint, forward, range(rank))).value


def accumulate(emit: Emitter, adjoints: Sequence[Adjoint]) -> Adjoint:
    """Sum cotangents of one forward value, keeping what they have in common lazy."""
    if len(adjoints) == 1:
        return adjoints[0]
    factors = {adjoint.factor for adjoint in adjoints}
    if len(factors) > 1:
        adjoints = [scaled(emit, adjoint) for adjoint in adjoints]
    total = adjoints[0]
    for other in adjoints[1:]:
        # Not before they are unfolded: ONNX Runtime's blocked layout splits the channels of an
        # Add of two convolutions by a Reshape that fails for K = 0 (seen in 1.31).
        value = emit.op("Add", total.value, other.value, role="sum")
        total = replace(total, value=value, spread=total.spread & other.spread)
    return total
