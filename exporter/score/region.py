"""This module scores outputs with positions, as in segmentation, by sums over a region.

The score of class c is the sum of its output over the region, so its cotangent is the region itself
at class c and zero elsewhere. Of a layer's channels it is the mean: the region is divided by what
it sums up to first.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import onnx_ir as ir

from ..differentiate.cotangent import Cotangent
from ..graph.emitter import Emitter, dims_of, parts_of
from ..graph.precision import SINGLE
from .seed import Selection, add_input, resolve, signs, with_opposite


def add_region(emit: Emitter, output: ir.Value) -> ir.Value:
    """The input float32 [N or 1, K or 1, *positions] with ones everywhere as its default.

    The default has one place that is broadcast to all, so that it takes no room in the file; hence
    the input's extents are open.
    """
    rank = len(dims_of(output))
    dims = ["region_batch", "region_K", *(f"position_{axis}" for axis in range(rank - 2))]
    return add_input(emit, "region", np.ones([1] * rank, np.float32), dims)


def select_in_region(
    emit: Emitter,
    output: ir.Value,
    class_index: ir.Value,
    region: ir.Value,
    *,
    single_logit: bool,
    scale: float = 1.0,
    mean: bool = False,
) -> Selection:
    """Resolve ranks by the classes' sums over the region, and seed the walk with the region.

    Args:
        emit: Where nodes are added.
        output: [N, classes, *positions]; [N, 1, *positions] for a single logit.
        class_index: int64 [N or 1, K]: ids from 0, ranks from -1 (the best) downwards.
        region: float32 [N or 1, K or 1, *positions], weights of the positions.
        single_logit: Explain class 1 as the logit and class 0 as its negative.
        scale: What the seed is multiplied with; see `cotangent_scale`.
        mean: Divide the region by the sum of its magnitudes.
    """
    with emit.scope("region"):
        rank = len(dims_of(output))
        batch, _, *places = parts_of(output)
        weights = emit.op("Expand", region, [batch, emit.classes, *places], role="weights")
        if mean:
            weights = _normalised(emit, weights, range(2, rank))
        # Sums over many positions overflow float16.
        wide = output if output.dtype == ir.DataType.DOUBLE else emit.cast(output, SINGLE, "cast")
        precise = emit.cast(weights, wide.dtype, "cast")
        table = _sums_by_class(emit, wide, precise)
        if single_logit:
            table = with_opposite(emit, table)
        requested = emit.op("Expand", class_index, [batch, 1], role="wanted")
        requested = emit.op("Unsqueeze", requested, [1], role="wanted")
        ids = emit.op("Squeeze", resolve(emit, table, requested), [1], role="ids")
        by_class = emit.op("Transpose", ids, role="by_class", perm=[1, 0])
        # [N, K, *positions] as [K, N, 1, *positions].
        turned = emit.op("Transpose", weights, role="seed", perm=[1, 0, *range(2, rank)])
        turned = emit.cast(turned, output.dtype, "cast")
        value = emit.op("Unsqueeze", turned, [2], role="seed")
        seed = Cotangent(emit, output, value, scale).scaled()
        if not single_logit:
            scores = _sum_of(emit, wide, precise, ids)
            return Selection(ids, scores, replace(seed, one_hot=by_class))
        sums = _sum_of(emit, wide, precise, None)
        scores = emit.op("Mul", sums, signs(emit, ids, sums), role="scores")
        lifted = emit.op("Unsqueeze", by_class, range(2, 1 + rank), role="sign")
        signed = emit.op("Mul", seed.value, signs(emit, lifted, seed.value), role="seed")
        return Selection(ids, scores, seed.with_value(signed))


def _normalised(emit: Emitter, weights: ir.Value, axes: range) -> ir.Value:
    """Weights whose magnitudes sum up to 1 along ``axes``; all zero stays so."""
    total = emit.op("ReduceL1", weights, axes, role="total", keepdims=1)
    # Too little to change any other sum than 0.
    total = emit.op("Add", total, float(np.finfo(np.float32).tiny), role="total")
    return emit.op("Div", weights, total, role="weights")


def _sums_by_class(emit: Emitter, output: ir.Value, weights: ir.Value) -> ir.Value:
    """Sums of all classes over each class's region, [N, classes, K], to rank them by."""
    rank = len(dims_of(output))
    cells = _cells(emit, output)
    rows = emit.op("Reshape", output, [*parts_of(output, [0, 1]), cells], role="rows")
    last = emit.op("Transpose", weights, role="columns", perm=[0, *range(2, rank), 1])
    # A region for another number of images or classes fails here. ``allowzero`` since a 0 for K
    # would copy another extent.
    shape = [*parts_of(output, [0]), cells, emit.classes]
    columns = emit.op("Reshape", last, shape, role="columns", allowzero=1)
    return emit.op("MatMul", rows, columns, role="table")


def _cells(emit: Emitter, output: ir.Value) -> int | ir.Value:
    """Number of positions, as an extent of `Emitter.vector`."""
    extents = dims_of(output)[2:]
    static = [extent for extent in extents if isinstance(extent, int)]
    if len(static) == len(extents):
        return math.prod(static)
    axes = range(2, 2 + len(extents))
    return emit.op("ReduceProd", emit.extents(output, axes), [0], role="cells")


def _sum_of(emit: Emitter, output: ir.Value, weights: ir.Value, ids: ir.Value | None) -> ir.Value:
    """Sums of the classes ``ids`` (or of a single logit) over their regions, [N, K].

    Axis by axis: one sum over all positions at once would lose three digits of float32.
    """
    rank = len(dims_of(output))
    picked = output
    if ids is not None:
        places = emit.op("Unsqueeze", ids, [2], role="places")
        picked = emit.op("GatherND", output, places, role="picked", batch_dims=1)
    total = emit.op("Mul", picked, weights, role="weighted")
    for axis in reversed(range(2, rank)):
        total = emit.op("ReduceSum", total, [axis], role="scores", keepdims=0)
    return total
