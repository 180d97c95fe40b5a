"""The formula of `runtime.methods.contrast` as nodes."""

from __future__ import annotations

import onnx_ir as ir

from ..differentiate.support.values import classes, identity
from ..graph.emitter import Emitter
from .channel_rows import BOOL, Flat, mean, quotient, total, weighted_sum

GAMMA, REFERENCES = 0.6, 3


def finercam(emit: Emitter, flat: Flat) -> ir.Value:
    """Weights w - 0.6 u, where u is the mean of those of the 3 nearest other classes.

    With K = 1 there are none; each class then counts as its own, and the map is 0.4 times
    Grad-CAM's.
    """
    weights = mean(emit, flat.gradients, 3)
    near = emit.cast(_nearest(emit, weights), ir.DataType.FLOAT)
    others = quotient(emit, emit.op("MatMul", near, weights), total(emit, near, 2, keep=True))
    share = emit.op("Mul", others, emit.scalar(GAMMA, others), role="share")
    return weighted_sum(emit, flat, emit.op("Sub", weights, share, role="contrast"))


def _nearest(emit: Emitter, weights: ir.Value) -> ir.Value:
    """Which others are nearest to each class, by cosine: bool [N, K, K]."""
    length = emit.op("ReduceL2", weights, emit.ints([2]), role="length", keepdims=1)
    units = quotient(emit, weights, length)
    turned = emit.op("Transpose", units, role="columns", perm=[0, 2, 1])
    likeness = emit.op("MatMul", units, turned, role="likeness")
    itself = identity(emit, classes(emit), ir.DataType.FLOAT)
    far = emit.op("Mul", itself, emit.scalar(3.0, itself), role="itself")
    likeness = emit.op("Sub", likeness, far, role="likeness")
    others = emit.op("Sub", classes(emit), emit.ints([1]))
    count = emit.op("Min", emit.op("Max", others, emit.ints([1])), emit.ints([REFERENCES]))
    count = emit.op("Min", count, classes(emit), role="references")
    nearest = emit.ops(
        "TopK", likeness, count, count=2, role="nearest", axis=2,
        dtype=[likeness.dtype, ir.DataType.INT64],
    )[0]  # fmt: skip
    last = (emit.ints([-1]), emit.ints([2**31 - 1]), emit.ints([2]))
    least = emit.op("Slice", nearest, *last, role="least")
    return emit.op("GreaterOrEqual", likeness, least, role="near", dtype=BOOL)
