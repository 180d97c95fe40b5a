"""The formulas of `runtime.methods.eigen` and `runtime.methods.fem` as nodes."""

from __future__ import annotations

import onnx_ir as ir

from ..graph.emitter import Emitter
from .channel_rows import BOOL, Flat, mean, total
from .principal_component import first_component, first_kernel_component
from .weighted import attribution

SIGMAS = 2.0


def eigencam(emit: Emitter, flat: Flat) -> ir.Value:
    """The first component of A."""
    return flat.for_all(emit, first_component(emit, flat, flat.asked(emit)))


def eigengradcam(emit: Emitter, flat: Flat) -> ir.Value:
    """The first component of g A."""
    component = first_component(emit, flat, attribution(emit, flat))
    return flat.map(emit, emit.op("Relu", component))


def kpcacam(emit: Emitter, flat: Flat) -> ir.Value:
    """The first component of A under a sigmoid kernel."""
    return flat.for_all(emit, first_kernel_component(emit, flat, flat.asked(emit)))


def fem(emit: Emitter, flat: Flat) -> ir.Value:
    """Means of the channels where they exceed the mean by two standard deviations."""
    a = flat.asked(emit)
    means = mean(emit, a, 3, keep=True)
    off = emit.op("Sub", a, means, role="centred")
    deviation = emit.op("Sqrt", mean(emit, emit.op("Mul", off, off), 3, keep=True))
    bound = emit.op("Mul", deviation, emit.scalar(SIGMAS, deviation), role="bound")
    strong = emit.op("Greater", off, bound, role="strong", dtype=BOOL)
    counted = emit.op("Mul", means, emit.cast(strong, ir.DataType.FLOAT), role="counted")
    return flat.for_all(emit, total(emit, counted, 2))
