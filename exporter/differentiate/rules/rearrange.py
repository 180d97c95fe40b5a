"""These rules differentiate operators that repeat, interleave or accumulate."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ...graph.attributes import constant_ints, only_input
from ...graph.emitter import Emitter, Part, dims_of, parts_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.values import reshape_like


@vjp("Tile", since=6, inputs=(0,))
def tile(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The sum over the copies of each element."""
    x, given = only_input(node), only_input(node, 1)
    repeats = constant_ints(given) or [
        emit.op("Slice", given, [axis], [axis + 1], role="repeats")
        for axis in range(len(dims_of(x)))
    ]
    apart: list[Part | ir.Value] = [emit.classes]
    axes: list[int] = []
    for part, count in zip(parts_of(x), repeats, strict=True):
        if not isinstance(count, int) or count != 1:
            axes.append(len(apart))
            apart.append(count)
        apart.append(part)
    if not axes:
        return [g]
    return [g.op("Reshape", apart, role="copies").op("ReduceSum", axes, keepdims=0)]


def _rearranged(
    emit: Emitter, grad: ir.Value, apart: Sequence[Part], perm: Sequence[int], x: ir.Value
) -> ir.Value:
    """``[K, ...]`` taken apart to ``[K, *apart]``, permuted, and laid out as ``x``.

    ``perm`` numbers the axes of ``apart``.
    """
    value = emit.op("Reshape", grad, [emit.classes, *apart], role="apart")
    value = emit.op("Transpose", value, perm=[0, *(1 + axis for axis in perm)])
    return reshape_like(emit, value, x)


@vjp("DepthToSpace", since=11)
def depth_to_space(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The blocks of the cotangent laid back into the channels, in the order of ``mode``."""
    x, block = only_input(node), node.attributes.get_int("blocksize", 1)
    batch, channels = parts_of(node.outputs[0], [0, 1])
    height, width = parts_of(x, [2, 3])
    apart = [batch, channels, height, block, width, block]
    depth_first = node.attributes.get_string("mode", "DCR") == "DCR"
    perm = [0, 3, 5, 1, 2, 4] if depth_first else [0, 1, 3, 5, 2, 4]
    return [g.through(_rearranged, apart, perm, x)]


@vjp("SpaceToDepth", since=1)
def space_to_depth(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The channels of the cotangent laid back into blocks."""
    x, block = only_input(node), node.attributes.get_int("blocksize", 1)
    batch, channels = parts_of(x, [0, 1])
    height, width = parts_of(node.outputs[0], [2, 3])
    apart = [batch, block, block, channels, height, width]
    return [g.through(_rearranged, apart, [0, 3, 4, 1, 5, 2], x)]


@vjp("CumSum", since=11, inputs=(0,))
def cumulative_sum(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cumulative sum of the cotangent the other way round."""
    given, rank = only_input(node, 1), len(dims_of(only_input(node)))
    axis = emit.op("Add", emit.op("Mod", given, rank, role="axis"), 1, role="axis")
    exclusive, reverse = (node.attributes.get_int(name, 0) for name in ("exclusive", "reverse"))
    return [g.op("CumSum", axis, exclusive=exclusive, reverse=1 - reverse)]


@vjp("Trilu", since=14, inputs=(0,))
def trilu(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The same triangle of the cotangent."""
    diagonal = [value for value in node.inputs[1:] if value is not None]
    return [g.op("Trilu", *diagonal, upper=node.attributes.get_int("upper", 1))]
