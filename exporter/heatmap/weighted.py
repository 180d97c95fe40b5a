"""The formulas of `runtime.methods.weighted` and `runtime.methods.local` as nodes."""

from __future__ import annotations

import onnx_ir as ir

from ..graph.emitter import Emitter
from .channel_rows import Flat, mean, quotient, sum_of, total, weighted_sum


def gradcam_plus_plus(emit: Emitter, flat: Flat) -> ir.Value:
    """Weights sum_p ReLU(g) / (2 + g sum_p A)."""
    g = flat.gradients
    bent = emit.op("Mul", g, total(emit, flat.activations, 3, keep=True))
    divisor = emit.op("Add", bent, emit.scalar(2.0, bent), role="divisor")
    shares = quotient(emit, emit.op("Relu", g), divisor)
    return weighted_sum(emit, flat, total(emit, shares, 3))


def xgradcam(emit: Emitter, flat: Flat) -> ir.Value:
    """Weights sum_p A g / sum_p A."""
    weights = quotient(
        emit, total(emit, attribution(emit, flat), 3), total(emit, flat.activations, 3)
    )
    return weighted_sum(emit, flat, weights)


def counterfactual(emit: Emitter, flat: Flat) -> ir.Value:
    """Weights -mean_p g."""
    weights = emit.op("Neg", mean(emit, flat.gradients, 3), role="weights")
    return weighted_sum(emit, flat, weights)


def cam(emit: Emitter, flat: Flat) -> ir.Value:
    """Weights sum_p g, signed; `bake` has made sure that the gradient is constant over space."""
    return weighted_sum(emit, flat, total(emit, flat.gradients, 3), relu=False)


def hirescam(emit: Emitter, flat: Flat) -> ir.Value:
    """Terms g A."""
    return sum_of(emit, flat, attribution(emit, flat))


def layercam(emit: Emitter, flat: Flat) -> ir.Value:
    """Terms ReLU(g) A."""
    positive = emit.op("Relu", flat.gradients)
    return sum_of(emit, flat, emit.op("Mul", positive, flat.activations, role="terms"))


def gradcam_elementwise(emit: Emitter, flat: Flat) -> ir.Value:
    """Terms ReLU(g A)."""
    return sum_of(emit, flat, emit.op("Relu", attribution(emit, flat)))


def attribution(emit: Emitter, flat: Flat) -> ir.Value:
    """Gradient times activation, [N, K, C, P]."""
    return emit.op("Mul", flat.gradients, flat.activations, role="attribution")
