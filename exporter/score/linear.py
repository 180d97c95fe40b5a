"""This module scores by inner products of an output with weights that the caller feeds.

Embeddings (the direction to another embedding), contrasts between classes (1 for one class, -1 for
another) and regression are all of this form. The weights themselves are the score's cotangent.
"""

from __future__ import annotations

import onnx_ir as ir

from ..differentiate.cotangent import Cotangent
from ..graph.emitter import Emitter, dims_of, parts_of
from ..graph.precision import SINGLE
from .seed import Selection


def add_score_weights(emit: Emitter, output: ir.Value) -> ir.Value:
    """The required input float32 [N or 1, K, *output], and K as an extent."""
    extents = [
        extent if isinstance(extent, int) else f"score_axis_{axis}"
        for axis, extent in enumerate(dims_of(output)[1:], 1)
    ]
    shape = ir.Shape(["score_weights_batch", "K", *extents])
    value = ir.Value(name=emit.unique("score_weights"), type=ir.TensorType(SINGLE), shape=shape)
    emit.graph.inputs.append(value)
    emit.classes_dim = emit.vector([(value, 1)])
    return value


def select_linear(
    emit: Emitter, output: ir.Value, weights: ir.Value, *, scale: float = 1.0
) -> Selection:
    """Score by ``sum(weights[n, k] * output[n])`` and seed the walk with the weights.

    Args:
        emit: Where nodes are added.
        output: [N, ...].
        weights: float32 [N or 1, K, ...].
        scale: What the seed is multiplied with; see `seed.cotangent_scale`.
    """
    with emit.scope("linear"):
        rank = len(dims_of(output))
        parts = [*parts_of(output, [0]), emit.classes, *parts_of(output, range(1, rank))]
        # Weights for another number of images or of another shape fail here.
        whole = emit.op("Expand", weights, parts, role="weights")
        # Sums over many positions overflow float16.
        wide = output if output.dtype == ir.DataType.DOUBLE else emit.cast(output, SINGLE, "wide")
        rows = emit.op("Unsqueeze", wide, [1], role="rows")
        total = emit.op("Mul", rows, emit.cast(whole, wide.dtype, "weights"), role="weighted")
        # Axis by axis: one sum over all positions at once would lose three digits of float32.
        for axis in reversed(range(2, rank + 1)):
            total = emit.op("ReduceSum", total, [axis], role="scores", keepdims=0)
        turned = emit.op("Transpose", whole, role="seed", perm=[1, 0, *range(2, rank + 1)])
        seed = Cotangent(emit, output, emit.cast(turned, output.dtype, "seed"), scale).scaled()
    return Selection(None, total, seed)
