"""This module adds heatmaps beside Grad-CAM to the graph, for callers without numpy.

The formulas are those of `runtime.methods`, with default options, written as ONNX nodes.
"""

from __future__ import annotations

import onnx_ir as ir

from ...runtime.errors import InputError
from ...runtime.methods.operations import Operations
from ...runtime.methods.table import METHODS
from ..differentiate.cotangent import Cotangent
from ..errors import LayerError
from ..graph.emitter import Emitter, dims_of
from ..graph.expression import Expression
from .channel_rows import ChannelRows
from .gradcam import Maps, Target
from .graph_operations import GraphOperations

FORMULAS = [name for name, method in METHODS.items() if method.is_formula and name != "gradcam"]
"""The methods that the graph can hold beside Grad-CAM, which is in every artifact."""


def bake(emit: Emitter, method: str, target: Target, cotangent: Cotangent, maps: Maps) -> ir.Value:
    """Add a method's map of a layer.

    Args:
        emit: Where nodes are added.
        method: Its id.
        target: The layer.
        cotangent: Its gradient, which knows where it is constant.
        maps: Its published tensors.

    Returns:
        float32 [N, K, *space].

    Raises:
        LayerError: The method is not defined for the layer.
    """
    rows = ChannelRows.of(emit, maps.activations, maps.gradients)
    constant = cotangent.spread.issuperset(_space(target))
    try:
        return write_formula(emit, method, rows, constant=constant)
    except InputError as error:
        raise LayerError(f"layer {target.name!r}: {error}") from None


def write_formula(emit: Emitter, method: str, rows: ChannelRows, *, constant: bool) -> ir.Value:
    """Add a method's formula; ``constant`` says whether gradients are the same at all places.

    Returns:
        float32 [N, K, *space].

    Raises:
        InputError: The method is not defined for the layer.
    """
    record = METHODS[method]
    with emit.scope(f"cam/{method}"):
        every_class = "gradients" in record.needs
        activations = rows.activations if every_class else rows.once(emit)
        tensors = {"activations": activations, "gradients": rows.gradients}
        operations: Operations[Expression] = GraphOperations(emit, rows, constant)
        made: Expression = record.function(
            operations, *(Expression(emit, tensors[need]) for need in record.needs)
        )
        row = made.value if every_class else rows.for_each_class(emit, made.value)
        return rows.map(emit, row)


def _space(target: Target) -> range:
    """The axes of the layer's value that are space."""
    rank = len(dims_of(target.value))
    if target.arrangement.layout == "channels_first":
        return range(2, rank)
    return range(1, rank - 1)
