"""`suit_openvino` rewrites what OpenVINO's CPU plug-in gets wrong; seen in 2026.4.

- It packs a constant once for all nodes that read it, and tells the packed forms apart by their
  shapes. A weight with as many inputs as outputs has the same shape in both directions: its adjoint
  then multiplies by the weight instead of by its transpose, and nothing says so. What nodes compute
  of constants alone is such a constant, too.
- It computes the extents of an Expand as the larger ones of both shapes. An axis of extent 0 (no
  classes: a plain prediction) becomes 1, and the run fails.
"""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from .emitter import Emitter, constant_of

_PRODUCTS = ("MatMul", "Gemm", "Transpose", "Conv", "ConvTranspose")


def suit_openvino(graph: ir.Graph, emit: Emitter) -> list[str]:
    """Rewrite the added nodes of a graph.

    Returns:
        The names of the weights that have copies. They are made when the file is loaded, so that
        the file does not grow, but the memory does.
    """
    _expand_by_products(graph, emit)
    copied = [
        value.name or ""
        for value in _known_before_the_run(graph)
        if _is_square(value) and _copy_for_others(value, emit)
    ]
    graph.sort()
    return copied


def _known_before_the_run(graph: ir.Graph) -> list[ir.Value]:
    """Initializers that are no inputs, and what nodes compute of nothing else."""
    found = [value for value in graph.initializers.values() if not value.is_graph_input()]
    known = {*found}
    for node in graph:
        given = [value for value in node.inputs if value is not None]
        if node.op_type == "Constant" or (given and known.issuperset(given)):
            known.update(node.outputs)
            found += node.outputs
    return found


def _copy_for_others(weight: ir.Value, emit: Emitter) -> bool:
    """Let added nodes that read a weight in another way than the first one read a copy."""
    ways = dict[tuple[object, ...], list[tuple[ir.Node, int]]]()
    own = False
    for use in weight.uses():
        if _is_added(use.node):
            ways.setdefault(_way(use.node, use.idx), []).append((use.node, use.idx))
        elif use.node.op_type in _PRODUCTS:
            own = True
    others = list(ways.values())[0 if own else 1 :]
    copy = weight
    for uses in others:
        # Negated twice: engines compute that once, and OpenVINO does not see through.
        copy = emit.op("Neg", emit.op("Neg", copy, role="negative"), role="copy")
        for node, place in uses:
            node.replace_input_with(place, copy)
    return bool(others)


def _way(node: ir.Node, place: int) -> tuple[object, ...]:
    """What tells in which direction a node multiplies by the weight at an input."""
    flags = [node.attributes.get_int(name, 0) for name in ("transA", "transB")]
    return (node.op_type, place, *flags)


def _expand_by_products(graph: ir.Graph, emit: Emitter) -> None:
    """Replace each added Expand to extents that are known by a product with ones."""
    for node in list(graph):
        if node.op_type != "Expand" or not _is_added(node):
            continue
        source, extents = node.inputs
        known, result = constant_of(extents), node.outputs[0]
        if source is None or known is None or source.dtype is None:
            continue
        if not source.dtype.is_floating_point():
            continue
        ones = emit.constant(np.ones(known.tolist()), source.dtype)
        product = emit.op("Mul", source, ones, role="spread")
        product.dtype, product.shape = source.dtype, result.shape
        result.replace_all_uses_with(product, replace_graph_outputs=True)
        graph.remove(node, safe=True)


def _is_added(node: ir.Node) -> bool:
    return (node.name or "").startswith("grad/")


def _is_square(weight: ir.Value) -> bool:
    """Whether a node multiplies by a weight that has as many inputs as outputs."""
    if weight.shape is None or weight.dtype is None or not weight.dtype.is_floating_point():
        return False
    dims = weight.shape.numpy()
    if len(dims) < 2 or dims[1] < 2:
        return False
    groups = {use.node.attributes.get_int("group", 1) for use in weight.uses()}
    return any(dims[0] == group * dims[1] for group in groups)
