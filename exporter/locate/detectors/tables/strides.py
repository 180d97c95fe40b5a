"""`strides_of` reads off the operators how many pixels of the image a place of a map stands for."""

from __future__ import annotations

import math

import onnx_ir as ir

from ....graph.emitter import constant_of, dims_of

_STRIDING = frozenset({"Conv", "MaxPool", "AveragePool", "LpPool", "QLinearConv", "ConvInteger"})
# Results of rank 4 that have not the places of what they are made from.
_MIXES = frozenset(
    {"Reshape", "Transpose", "Flatten", "MatMul", "Gemm", "Einsum", "Squeeze", "Unsqueeze"}
    | {"Gather", "GatherElements", "GatherND", "GridSample", "GlobalAveragePool"}
    | {"GlobalMaxPool", "ReduceMean", "ReduceMax", "ReduceSum", "ArgMax"}
)


def strides_of(graph: ir.Graph, image: ir.Value) -> dict[ir.Value, int]:
    """Strides of the maps [N, C, h, w] that come from an image without a change of layout.

    The sizes of inputs need not be known. Maps whose stride is no whole number, or differs between
    the two axes, are left out.
    """
    found: dict[ir.Value, float] = {image: 1.0}
    for node in graph:
        before = next((one for one in node.inputs if one is not None and one in found), None)
        if before is None or node.op_type in _MIXES:
            continue
        factor = _factor(node, before)
        if factor is None:
            continue
        for value in node.outputs:
            if value.shape is not None and len(value.shape) == 4:
                found[value] = found[before] * factor
    return {value: round(one) for value, one in found.items() if math.isclose(one, round(one))}


def _factor(node: ir.Node, before: ir.Value) -> float | None:
    """By how much a node's result is coarser than what it reads; None if that is not known."""
    if node.op_type in _STRIDING:
        return _alike(node.attributes["strides"].as_ints() if "strides" in node.attributes else [1])
    if node.op_type == "ConvTranspose":
        given = node.attributes["strides"].as_ints() if "strides" in node.attributes else [1]
        factor = _alike(given)
        return None if factor is None else 1 / factor
    if node.op_type in ("DepthToSpace", "SpaceToDepth"):
        size = node.attributes["blocksize"].as_int()
        return 1 / size if node.op_type == "DepthToSpace" else float(size)
    if node.op_type in ("Resize", "Upsample"):
        return _of_resize(node, before)
    return 1.0


def _of_resize(node: ir.Node, before: ir.Value) -> float | None:
    for given in node.inputs[1:]:
        scales = constant_of(given)
        if scales is not None and scales.dtype.kind == "f" and scales.size == 4:
            factor = _alike([float(one) for one in scales[2:]])
            return None if not factor else 1 / factor
    sides = [*dims_of(before)[2:], *(dims_of(node.outputs[0])[2:] if node.outputs[0].shape else [])]
    known = [side for side in sides if isinstance(side, int) and side]
    if len(known) == 4:
        return _alike([known[0] / known[2], known[1] / known[3]])
    return None


def _alike(given: object) -> float | None:
    numbers = [float(one) for one in given]  # type: ignore[attr-defined]
    return numbers[0] if numbers and len(set(numbers)) == 1 else None
