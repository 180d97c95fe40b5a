"""This module makes the outputs of one target layer: activations, gradients and heatmap."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
import onnx_ir as ir

from ..differentiate.cotangent import Cotangent
from ..graph.emitter import Dim, Emitter, dims_of, parts_of
from ..graph.precision import SINGLE
from ..locate.arrangement import Arrangement


@dataclass(frozen=True)
class Target:
    """A target layer in the graph.

    Attributes:
        name: The layer's name, as the user gave it.
        value: Its output.
        arrangement: How the model lays it out.
    """

    name: str
    value: ir.Value
    arrangement: Arrangement


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


def channel_first(emit: Emitter, target: Target, cotangent: Cotangent) -> Cotangent:
    """Bring a layer's value and its cotangent to [N, C, *space] and [K, N, C, *space]."""
    layout, laid = target.arrangement.layout, replace(cotangent, forward=laid_out(emit, target))
    if layout == "channels_first":
        return laid
    if layout == "tokens":
        whole = cotangent.expanded()
        return laid.with_value(_on_grid(emit, target, whole.value, 1), whole.spread)
    perm = _channels_second(len(dims_of(target.value)))
    inner = emit.op("Transpose", cotangent.value, perm=[0, *(1 + axis for axis in perm)])
    return laid.with_value(inner, [perm.index(axis) for axis in cotangent.spread])


def laid_out(emit: Emitter, target: Target) -> ir.Value:
    """A layer's value as [N, C, *space]."""
    value, layout = target.value, target.arrangement.layout
    if layout == "channels_first":
        return value
    if layout == "tokens":
        return _on_grid(emit, target, value, 0)
    dims = dims_of(value)
    perm = _channels_second(len(dims))
    return emit.op("Transpose", value, shape=[dims[axis] for axis in perm], perm=perm)


def _channels_second(rank: int) -> list[int]:
    """The permutation that moves the last axis behind the first."""
    return [0, rank - 1, *range(1, rank - 1)]


def _on_grid(emit: Emitter, target: Target, value: ir.Value, lead: int) -> ir.Value:
    """Tokens [..., N, prefix + h * w + suffix, C] as [..., N, C, h, w].

    ``lead`` axes come before N.
    """
    prefix, grid = target.arrangement.prefix, target.arrangement.grid
    suffix = target.arrangement.suffix
    batch, tokens, channels = dims_of(target.value)
    places = tokens - prefix - suffix if isinstance(tokens, int) else None

    def shape(*dims: Dim) -> list[Dim] | None:
        return [batch, *dims] if lead == 0 else None

    if prefix or suffix:
        bounds = [prefix], [-suffix or 2**31 - 1], [1 + lead]
        value = emit.op("Slice", value, *bounds, role="places", shape=shape(places, channels))
    axes, turned = [*range(1 + lead), 2 + lead, 1 + lead], shape(channels, places)
    value = emit.op("Transpose", value, role="channels", shape=turned, perm=axes)
    sides = (side for side in grid if isinstance(side, int))
    # Where C is read at run time, K is read, too: see `Emitter.classes`.
    leading = [0 if isinstance(channels, int) else emit.classes] * lead
    extents = [*leading, 0, *parts_of(target.value, [2]), *sides]
    return emit.op("Reshape", value, extents, role="grid", shape=shape(channels, *grid))


def gradcam(emit: Emitter, target: Target, cotangent: Cotangent) -> Maps:
    """Grad-CAM (Selvaraju et al., 2017): ReLU of the activations weighted by mean gradients.

    The mean runs over space, the weighted sum over channels. A cotangent that is constant over
    space (a pool + linear head) is its own mean, and the sum is one small matrix product.

    All three come in float32. The factor is multiplied in after the conversion: the product could
    overflow float16.
    """
    laid = channel_first(emit, target, cotangent)
    value = emit.cast(laid.forward, SINGLE, "single")
    laid = replace(laid, forward=value).through(Emitter.cast, SINGLE, "single").expanded({0, 1})
    rank = len(dims_of(value))
    space = range(2, rank)
    if not laid.spread.issuperset(space):
        laid = laid.written_out()
    by_image = emit.op("Transpose", laid.value, role="by_image", perm=[1, 0, *range(2, rank + 1)])
    if laid.spread:
        weights, gradients = by_image, _spread_out(emit, by_image, value, laid.factor)
    else:
        over = [1 + axis for axis in space]
        weights = emit.op("ReduceMean", by_image, over, role="weights", keepdims=1)
        gradients = by_image
    rows = emit.op("Reshape", weights, [0, emit.classes, *parts_of(value, [1])], role="rows")
    places = emit.op("Reshape", value, [0, 0, -1], role="places")
    weighted = emit.op("MatMul", rows, places, role="weighted")
    if laid.factor != 1.0:
        weighted = emit.op("Mul", weighted, laid.factor, role="scaled")
    shaped = [0, emit.classes, *parts_of(value, space)]
    heatmap = emit.op("Relu", emit.op("Reshape", weighted, shaped, role="map"), role="heatmap")
    return Maps(value, gradients, heatmap)


def _spread_out(emit: Emitter, weights: ir.Value, value: ir.Value, factor: float) -> ir.Value:
    """Gradients that are the same all over space: [N, K, C, 1, ...] times ``factor``, expanded.

    A product with a small constant does both in half of the time that ONNX Runtime's Expand takes
    (960 channels on 7 x 7: 14 and 30 microseconds).
    """
    space = parts_of(value)[2:]
    static = [extent for extent in space if isinstance(extent, int)]
    if len(static) == len(space):
        spread = emit.constant(np.full(static, factor), value.dtype)
        return emit.op("Mul", weights, spread, role="gradients")
    expanded = emit.op("Expand", weights, [1, 1, 1, *space], role="gradients")
    return emit.op("Mul", expanded, factor, role="gradients")


def by_image(emit: Emitter, gradient: Cotangent) -> ir.Value:
    """A cotangent in the layout of its value, as float32 [N, K, ...]."""
    dims = dims_of(gradient.forward)
    whole = gradient.through(Emitter.cast, SINGLE, "single").dense()
    return emit.op(
        "Transpose", whole, role="by_image", shape=[dims[0], None, *dims[1:]],
        perm=[1, 0, *range(2, 1 + len(dims))],
    )  # fmt: skip


def publish(emit: Emitter, value: ir.Value, name: str, shape: Sequence[Dim]) -> str:
    """Make ``value`` a graph output called ``name``, or a similar name if that is taken.

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
