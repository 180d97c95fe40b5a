"""`separate_square_weights` keeps OpenVINO from confusing the two directions of a weight.

OpenVINO's CPU plug-in (seen in 2026.4) packs a constant once for all nodes that read it, and tells
the packed forms apart by their shapes. A weight with as many inputs as outputs has the same shape
in both directions. The adjoint then multiplies by the weight instead of by its transpose, and
nothing says so.
"""

from __future__ import annotations

import onnx_ir as ir

from .emitter import Emitter

_PRODUCTS = ("MatMul", "Gemm", "Transpose", "Conv", "ConvTranspose")


def separate_square_weights(graph: ir.Graph, emit: Emitter) -> None:
    """Let the added nodes read their own copy of each square weight that the model reads as well.

    The copy is made when the file is loaded: the weight is negated twice, which engines compute
    once and OpenVINO does not see through. The file does not grow.
    """
    found = False
    for value in list(graph.initializers.values()):
        added = [use for use in value.uses() if _is_added(use.node)]
        own = [use.node for use in value.uses() if not _is_added(use.node)]
        if not added or not any(_is_square(value, node) for node in own):
            continue
        found = True
        copy = emit.op("Neg", emit.op("Neg", value, role="negative"), role="copy")
        for use in added:
            use.node.replace_input_with(use.idx, copy)
    if found:
        graph.sort()


def _is_added(node: ir.Node) -> bool:
    return (node.name or "").startswith("grad/")


def _is_square(weight: ir.Value, node: ir.Node) -> bool:
    """Whether a node multiplies by a weight that has as many inputs as outputs."""
    if weight.shape is None or weight.dtype is None or not weight.dtype.is_floating_point():
        return False
    dims = weight.shape.numpy()
    groups = node.attributes.get_int("group", 1)
    return (
        node.op_type in _PRODUCTS and len(dims) > 1 and dims[0] == groups * dims[1] and dims[1] > 1
    )
