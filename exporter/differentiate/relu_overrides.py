"""ReLU's rule exchanged: guided backpropagation and the deconvnet.

What comes out is no derivative. Both rules ask for the cotangent's sign, and neither depends on
how large it is: they are linear for positive factors only.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..graph.emitter import Emitter
from .adjoint import Adjoint, Result
from .registry import Entry, Needed
from .support.values import above, where


def _guided(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g`` where it is positive and the output too (Springenberg et al. 2015)."""
    return [where(emit, above(emit, node.outputs[0]), _positive(emit, grad.value))]


def _deconvnet(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g`` where it is positive, open in the forward pass or not (Zeiler and Fergus 2014)."""
    return [_positive(emit, grad.value)]


def _positive(emit: Emitter, grad: ir.Value) -> ir.Value:
    return emit.op("Relu", grad, role="positive")


GUIDED = {"Relu": Entry("Relu", 6, _guided, linear=False)}
DECONVNET = {"Relu": Entry("Relu", 6, _deconvnet, linear=False)}
