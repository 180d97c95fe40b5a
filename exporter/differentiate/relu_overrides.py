"""This module replaces ReLU's rule, for guided backpropagation and the deconvnet.

The result is no derivative. Both rules use the cotangent's sign and not its size: they are linear
for positive factors only.
"""

from __future__ import annotations

import onnx_ir as ir

from ..graph.emitter import Emitter
from .cotangent import Cotangent, Cotangents
from .registry import Entry, Needed
from .support.values import output_of


def _guided(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` where it is positive and the output too (Springenberg et al. 2015)."""
    return [g.op("Relu", role="positive").where(output_of(emit, node).above())]


def _deconvnet(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g`` where it is positive, open in the forward pass or not (Zeiler and Fergus 2014)."""
    return [g.op("Relu", role="positive")]


GUIDED = {"Relu": Entry("Relu", 6, _guided, linear=False)}
DECONVNET = {"Relu": Entry("Relu", 6, _deconvnet, linear=False)}
