"""The artifact's outputs for one target layer: activations, gradients and heatmap, as nodes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ..runtime.spec import Layout
from .adjoint import Adjoint, emit_part, expanded, scaled
from .emitter import Dim, Emitter, dims_of


@dataclass(frozen=True)
class Target:
    """A target layer in the graph.

    Attributes:
        name: The layer as the user asked for it.
        value: Its output.
        layout: How the model lays it out.
    """

    name: str
    value: ir.Value
    layout: Layout = "channels_first"


@dataclass(frozen=True)
class Maps:
    """A layer's tensors, channel-first.

    Attributes:
        activations: [N, C, *space].
        gradients: [N, K, C, *space].
        heatmap: [N, K, *space].
    """

    activations: ir.Value
    gradients: ir.Value
    heatmap: ir.Value


def gradcam(emit: Emitter, target: Target, adjoint: Adjoint) -> Maps:
    """Grad-CAM (Selvaraju et al., 2017): the ReLU of the activations' sum over channels, weighted
    by the spatial means of the gradients.

    A cotangent that is constant over space (a pool + linear head) is its own mean, and the
    weighted sum is one small matrix product.
    """  # noqa: D205
    value = target.value
    rank = len(dims_of(value))
    space = range(2, rank)
    adjoint = expanded(emit, adjoint, value, {0, 1})
    if not adjoint.spread.issuperset(space):
        adjoint = expanded(emit, adjoint, value, space)
    adjoint = scaled(emit, adjoint)
    by_image = emit.op(
        "Transpose", adjoint.value, role="by_image", perm=[1, 0, *range(2, rank + 1)]
    )
    if adjoint.spread:
        weights = by_image
        shape = emit.vector([1, 1, 1, *(emit_part(value, axis) for axis in space)])
        gradients = emit.op("Expand", by_image, shape, role="gradients")
    else:
        over = emit.ints([1 + axis for axis in space])
        weights = emit.op("ReduceMean", by_image, over, role="weights", keepdims=1)
        gradients = by_image
    channels = emit_part(value, 1)
    rows = emit.op("Reshape", weights, emit.vector([0, 0, channels]), role="rows")
    places = emit.op("Reshape", value, emit.ints([0, 0, -1]), role="places")
    weighted = emit.op("MatMul", rows, places, role="weighted")
    shaped = emit.vector([0, 0, *(emit_part(value, axis) for axis in space)])
    heatmap = emit.op("Relu", emit.op("Reshape", weighted, shaped, role="map"), role="heatmap")
    return Maps(value, gradients, heatmap)


def publish(emit: Emitter, value: ir.Value, name: str, shape: Sequence[Dim]) -> str:
    """Make ``value`` a graph output called ``name``, or a like name if that is taken.

    Returns:
        The output's name.
    """
    graph = emit.graph
    if value.is_graph_output() or value.is_graph_input() or value.is_initializer():
        value = emit.op("Identity", value, role=name)
    value.name = emit.unique(name)
    value.shape = ir.Shape(shape)
    graph.outputs.append(value)
    return value.name
