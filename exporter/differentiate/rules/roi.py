"""This rule differentiates RoiAlign: regions of an image, resampled (He et al., 2017)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, Extent, parts_of
from ...graph.expression import Expression
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.interpolation import length, numbered, within
from ..support.sampling import product
from ..support.values import cells, narrowed, where, wide
from .linear import lifted


def _averages(node: ir.Node) -> str | None:
    mode = node.attributes.get_string("mode", "avg")
    if mode != "avg":
        return (
            f"mode={mode!r} has no gradient rule (runtimes take the largest weighted cell, not the "
            "largest sample); use mode='avg'"
        )
    return None


@vjp("RoiAlign", since=16, inputs=(0,), check=_averages)
def roi_align(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The sum of ``A^T g B`` over an image's regions, each with a matrix along rows and columns.

    The regions carry no gradient, as in torchvision. Samples more than one cell outside the
    image read zero, nearer ones the outermost cell.
    """
    x, images = only_input(node), only_input(node, 2)
    batch, channels, height, width = parts_of(x)
    high, broad = _counts(node)
    regions = parts_of(only_input(node, 1), [0])[0]
    rows, columns = (narrowed(emit, _weights(emit, node, axis), x) for axis in (0, 1))
    strips = product(emit, high, channels)
    # Along columns, region by region: [K, R, C high, broad] by [R, broad, W].
    g = g.op("Reshape", [emit.classes, regions, strips, broad], role="strips")
    g = g.op("MatMul", lifted(emit, columns, 3), role="by_column")
    # Along rows, over all regions of an image at once: [N H, R high] by [R high, K C W].
    g = g.op("Reshape", [emit.classes, regions, channels, high, width], role="apart")
    g = g.op("Transpose", role="turned", perm=[1, 3, 0, 2, 4])
    lines = product(emit, high, regions)
    across = emit.vector([emit.classes, channels, width])
    across = emit.op("ReduceProd", across, [0], role="across", keepdims=1)
    value = _flattened(emit, g.value, lines, across)
    index = emit.op("Unsqueeze", numbered(emit, x, 0, images), [1], role="image")
    own = emit.op("Equal", images, index, role="own")
    rows = where(emit, emit.op("Unsqueeze", own, [2, 3], role="own"), rows)
    rows = emit.op("Transpose", rows, role="rows", perm=[0, 3, 1, 2])
    rows = _flattened(emit, rows, cells(emit, x, [0, 2]), lines)
    g = g.with_value(emit.op("Gemm", rows, value, role="by_row"))
    shape = [batch, height, emit.classes, channels, width]
    g = g.op("Reshape", shape, role="apart", allowzero=1)
    return [g.op("Transpose", role="turned", perm=[2, 0, 3, 1, 4])]


def _flattened(emit: Emitter, value: ir.Value, rows: Extent, columns: Extent) -> ir.Value:
    """A tensor as a matrix. Without regions or classes a 0 is an extent, not one to be copied."""
    return emit.op("Reshape", value, [rows, columns], role="matrix", allowzero=1)


def _counts(node: ir.Node) -> tuple[int, int]:
    """Rows and columns that each region is resampled to."""
    return node.attributes.get_int("output_height", 1), node.attributes.get_int("output_width", 1)


def _weights(emit: Emitter, node: ir.Node, axis: int) -> ir.Value:
    """Weights of the image's cells along an axis in the regions' cells, [R, out, extent]."""
    x, rois, count = only_input(node), only_input(node, 1), _counts(node)[axis]
    scale = node.attributes.get_float("spatial_scale", 1.0)
    mode = node.attributes.get_string("coordinate_transformation_mode", "half_pixel")
    first, last = (
        _edge(emit, rois, place, scale, 0.5 if mode == "half_pixel" else 0.0)
        for place in (1 - axis, 3 - axis)
    )
    size = last - first
    if mode == "output_half_pixel":
        size = size.op("Max", 1.0)
    step, dtype = size / count, size.value.dtype
    ratio = node.attributes.get_int("sampling_ratio", 0)
    number = step.of(ratio) if ratio else step.op("Ceil")
    order = step.of(emit.constant(np.arange(ratio), dtype)) if ratio else _order(number)
    place = (order + 0.5) / number
    place = step.of(emit.constant(np.arange(count)[:, None], dtype)) + place
    place = first + place * step
    extent, last_cell = (length(emit, x, 2 + axis, place.value, less=less) for less in (0, 1))
    read = within(emit, place.value, -1.0, extent, open=False)
    if not ratio:
        read = emit.op("And", read, order.below(number))
    place = place.op("Clip", 0.0, last_cell).op("Unsqueeze", [3])
    apart = place - numbered(emit, x, 2 + axis, place.value)
    near = (1.0 - apart.op("Abs")).op("Relu").where(emit.op("Unsqueeze", read, [3]))
    number = number.op("Max", 1.0)
    return near.sum([2], keep=False).op("Div", number, shape=[None] * 3).value


def _edge(emit: Emitter, rois: ir.Value, place: int, scale: float, shift: float) -> Expression:
    """One edge of all regions as a coordinate in cells, [R, 1, 1]."""
    edge = emit.op("Slice", rois, [place], [place + 1], [1], role="edge")
    edge = wide(emit, emit.op("Unsqueeze", edge, [2], role="edge"))
    return Expression(emit, edge) * scale - shift


def _order(number: Expression) -> Expression:
    """0, 1, ... up to the largest number of samples of any region."""
    one = number.of(number.emit.constant([1.0], number.value.dtype))
    # There may be no regions.
    most = one.op("Concat", number.op("Reshape", [-1]), axis=0).op("ReduceMax", keepdims=0)
    return number.of(0.0).op("Range", most, 1.0)
