"""These rules differentiate operators that repeat, interleave, accumulate or select by place."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ...graph.attributes import constant_ints, int_attribute, only_input, string_attribute
from ...graph.emitter import Emitter, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.values import Part, classes, parts_of, reshape_like


@vjp("Tile", since=6, inputs=(0,))
def tile(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The sum over the copies of each element."""
    x, given = only_input(node), only_input(node, 1)
    repeats = constant_ints(given) or [
        emit.op("Slice", given, emit.ints([axis]), emit.ints([axis + 1]), role="repeats")
        for axis in range(len(dims_of(x)))
    ]
    apart: list[Part | ir.Value] = [classes(emit)]
    axes: list[int] = []
    for part, count in zip(parts_of(x), repeats, strict=True):
        if not isinstance(count, int) or count != 1:
            axes.append(len(apart))
            apart.append(count)
        apart.append(part)
    if not axes:
        return [g]
    copies = emit.op("Reshape", g.value, emit.vector(apart), role="copies")
    return [g.with_value(emit.op("ReduceSum", copies, emit.ints(axes), keepdims=0))]


def _rearranged(
    emit: Emitter, grad: ir.Value, apart: Sequence[Part], perm: Sequence[int], x: ir.Value
) -> ir.Value:
    """``[K, ...]`` taken apart to ``[K, *apart]``, permuted, and laid out as ``x``.

    ``perm`` numbers the axes of ``apart``.
    """
    value = emit.op("Reshape", grad, emit.vector([classes(emit), *apart]), role="apart")
    value = emit.op("Transpose", value, perm=[0, *(1 + axis for axis in perm)])
    return reshape_like(emit, value, x)


@vjp("DepthToSpace", since=11)
def depth_to_space(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The blocks of the cotangent laid back into the channels, in the order of ``mode``."""
    x, block = only_input(node), int_attribute(node, "blocksize", 1)
    batch, channels = parts_of(node.outputs[0], [0, 1])
    height, width = parts_of(x, [2, 3])
    apart = [batch, channels, height, block, width, block]
    depth_first = string_attribute(node, "mode", "DCR") == "DCR"
    perm = [0, 3, 5, 1, 2, 4] if depth_first else [0, 1, 3, 5, 2, 4]
    return [g.through(_rearranged, apart, perm, x)]


@vjp("SpaceToDepth", since=1)
def space_to_depth(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The channels of the cotangent laid back into blocks."""
    x, block = only_input(node), int_attribute(node, "blocksize", 1)
    batch, channels = parts_of(x, [0, 1])
    height, width = parts_of(node.outputs[0], [2, 3])
    apart = [batch, block, block, channels, height, width]
    return [g.through(_rearranged, apart, [0, 3, 4, 1, 5, 2], x)]


@vjp("CumSum", since=11, inputs=(0,))
def cumulative_sum(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cumulative sum of the cotangent the other way round."""
    given, rank = only_input(node, 1), len(dims_of(only_input(node)))
    axis = emit.op("Mod", given, emit.constant(rank, given.dtype), role="axis")
    axis = emit.op("Add", axis, emit.constant(1, given.dtype), role="axis")
    summed = emit.op(
        "CumSum",
        g.value,
        axis,
        exclusive=int_attribute(node, "exclusive", 0),
        reverse=1 - int_attribute(node, "reverse", 0),
    )
    return [g.with_value(summed)]


@vjp("Trilu", since=14, inputs=(0,))
def trilu(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The same triangle of the cotangent."""
    diagonal = [value for value in node.inputs[1:] if value is not None]
    triangle = emit.op("Trilu", g.value, *diagonal, upper=int_attribute(node, "upper", 1))
    return [g.with_value(triangle)]


@vjp("GlobalMaxPool", since=1)
def global_max_pool(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent at the place of the maximum, the first one among ties, as in PyTorch."""
    x = only_input(node)
    flat = emit.op("Reshape", x, emit.ints([0, 0, -1]), role="flat")
    place = emit.op("ArgMax", flat, role="place", dtype=ir.DataType.INT64, axis=2, keepdims=0)
    count = emit.op("Shape", flat, role="count", dtype=ir.DataType.INT64, start=2)
    count = emit.op("Squeeze", count, emit.ints([0]), role="count")
    hit = emit.op(
        "OneHot", place, count, emit.constant([0.0, 1.0], x.dtype), role="hit", dtype=x.dtype
    )
    return [g * emit.op("Reshape", hit, emit.extents(x), role="hit")]
