"""This rule differentiates Resize, a linear map along each axis, by matrices."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, Part, constant_of, parts_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.resampling import Resampling, resampling_matrix
from ..support.resizing import by_sizes, resamplings, resized_axes
from ..support.values import identity, readable


def _resize_selection(
    emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed
) -> Cotangents | None:
    """Class maps that are resized: only the selected class's is resized back."""
    if g.tensor is None or 1 in resamplings(node):
        return None
    parts = parts_of(node.outputs[0])
    return [g.through(_transposed, node, [parts[0], 1, *parts[2:]])]


@vjp("Resize", since=11, inputs=(0,), check=readable(resamplings), selection=_resize_selection)
def resize(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The transposed interpolation: a product with a matrix along each resized axis.

    The matrix is a constant where the extents are known, else the node's own resizing of the
    identity.
    """
    return [g.through(_transposed, node, parts_of(node.outputs[0]))]


def _transposed(emit: Emitter, value: ir.Value, node: ir.Node, parts: Sequence[Part]) -> ir.Value:
    """A cotangent ``[K, *parts]`` resized back."""
    parts, inner = list(parts), parts_of(only_input(node))
    rank = len(parts)
    for axis, resampling in reversed(resamplings(node).items()):
        value = _turned(emit, value, rank, axis)
        # One Gemm over all that comes before: ONNX Runtime fuses a MatMul with the Transpose
        # before it to an operator that fails where K = 0 (seen in 1.31).
        rows = emit.op("Reshape", value, [-1, parts[axis]], role="rows")
        matrix, turned = _matrix(emit, node, axis, resampling)
        product = emit.op("Gemm", rows, matrix, role="resampled", transB=turned)
        parts[axis] = inner[axis]
        shape = [parts[-1] if place == axis else part for place, part in enumerate(parts)]
        shape[-1] = inner[axis]
        shape = emit.vector([emit.classes, *shape])
        value = _turned(emit, emit.op("Reshape", product, shape, role="unfolded"), rank, axis)
    return value


def _matrix(
    emit: Emitter, node: ir.Node, axis: int, resampling: Resampling
) -> tuple[ir.Value, int]:
    """The interpolation [count, extent] with 0, or its transpose with 1."""
    x = only_input(node)
    known = resampling.scale is not None or by_sizes(node)
    if known and resampling.extent is not None and resampling.count is not None:
        return emit.constant(resampling_matrix(resampling), x.dtype), 0
    extent = parts_of(x)[axis]
    image = emit.op("Unsqueeze", identity(emit, extent, x.dtype), [1, 3], role="image")
    scales = sizes = roi = None
    if by_sizes(node):
        sizes = emit.vector([extent, 1, parts_of(node.outputs[0])[axis], 1])
    else:
        place = resized_axes(node).index(axis)
        own = emit.op("Slice", only_input(node, 2), [place], [place + 1], role="scale")
        ones = emit.constant([1.0, 1.0], ir.DataType.FLOAT)
        scales = emit.op("Concat", ones, own, _beside(emit, node), role="scales", axis=0)
    settings, (start, end) = dict(resampling.settings), resampling.region
    if settings.get("coordinate_transformation_mode") == "tf_crop_and_resize":
        roi = emit.constant([0.0, 0.0, start, 0.0, 1.0, 1.0, end, 1.0], ir.DataType.FLOAT)
    resized = emit.op("Resize", image, roi, scales, sizes, role="measured", **settings)
    first = emit.op("Slice", resized, [0], [1], [3], role="first")
    return emit.op("Squeeze", first, [1, 3], role="matrix"), 1


def _beside(emit: Emitter, node: ir.Node) -> ir.Value:
    """The scale of one cell beside the axis: 2 where the node changes any extent, else 1.

    ONNX Runtime copies a tensor whose extents all stay, whatever the scales.
    """
    x, scales = only_input(node), constant_of(only_input(node, 2))
    changing = [] if scales is None else [s for s in scales.tolist() if s <= 0.5 or s >= 2]
    if changing:
        return emit.constant([2.0], ir.DataType.FLOAT)
    same = emit.op("Equal", emit.extents(x), emit.extents(node.outputs[0]), role="same")
    same = emit.op("ReduceMin", emit.cast(same, ir.DataType.FLOAT), [0], role="all_same")
    return emit.op("Sub", emit.constant([2.0], ir.DataType.FLOAT), same, role="beside")


def _turned(emit: Emitter, value: ir.Value, rank: int, axis: int) -> ir.Value:
    """``[K, ...]`` with one of the ``rank`` axes and the last one exchanged."""
    if axis == rank - 1:
        return value
    perm = list(range(rank + 1))
    perm[1 + axis], perm[-1] = perm[-1], perm[1 + axis]
    return emit.op("Transpose", value, role="turned", perm=perm)
