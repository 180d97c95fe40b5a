"""This rule differentiates RoiAlign: regions of an image, resampled (He et al., 2017)."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.attributes import float_attribute, int_attribute, only_input, string_attribute
from ...graph.emitter import Emitter
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.interpolation import Extent, length, numbered, within
from ..support.sampling import product
from ..support.values import cells, classes, narrowed, parts_of, where, wide
from .linear import lifted


def _averages(node: ir.Node) -> str | None:
    mode = string_attribute(node, "mode", "avg")
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
    shape = emit.vector([classes(emit), regions, strips, broad])
    value = emit.op("Reshape", g.value, shape, role="strips")
    value = emit.op("MatMul", value, lifted(emit, columns, 3), role="by_column")
    # Along rows, over all regions of an image at once: [N H, R high] by [R high, K C W].
    shape = emit.vector([classes(emit), regions, channels, high, width])
    value = emit.op("Reshape", value, shape, role="apart")
    value = emit.op("Transpose", value, role="turned", perm=[1, 3, 0, 2, 4])
    lines = product(emit, high, regions)
    across = emit.vector([classes(emit), channels, width])
    across = emit.op("ReduceProd", across, emit.ints([0]), role="across", keepdims=1)
    value = _flattened(emit, value, lines, across)
    index = emit.op("Unsqueeze", numbered(emit, x, 0, images), emit.ints([1]), role="image")
    own = emit.op("Equal", images, index, role="own", dtype=ir.DataType.BOOL)
    rows = where(emit, emit.op("Unsqueeze", own, emit.ints([2, 3]), role="own"), rows)
    rows = emit.op("Transpose", rows, role="rows", perm=[0, 3, 1, 2])
    rows = _flattened(emit, rows, cells(emit, x, [0, 2]), lines)
    value = emit.op("Gemm", rows, value, role="by_row")
    shape = emit.vector([batch, height, classes(emit), channels, width])
    value = emit.op("Reshape", value, shape, role="apart", allowzero=1)
    return [g.with_value(emit.op("Transpose", value, role="turned", perm=[2, 0, 3, 1, 4]))]


def _flattened(emit: Emitter, value: ir.Value, rows: Extent, columns: Extent) -> ir.Value:
    """A tensor as a matrix. Without regions or classes a 0 is an extent, not one to be copied."""
    shape = emit.vector([rows, columns])
    return emit.op("Reshape", value, shape, role="matrix", allowzero=1)


def _counts(node: ir.Node) -> tuple[int, int]:
    """Rows and columns that each region is resampled to."""
    return int_attribute(node, "output_height", 1), int_attribute(node, "output_width", 1)


def _weights(emit: Emitter, node: ir.Node, axis: int) -> ir.Value:
    """Weights of the image's cells along an axis in the regions' cells, [R, out, extent]."""
    x, rois, count = only_input(node), only_input(node, 1), _counts(node)[axis]
    scale = float_attribute(node, "spatial_scale", 1.0)
    mode = string_attribute(node, "coordinate_transformation_mode", "half_pixel")
    first, last = (
        _edge(emit, rois, place, scale, 0.5 if mode == "half_pixel" else 0.0)
        for place in (1 - axis, 3 - axis)
    )
    size = emit.op("Sub", last, first, role="size")
    if mode == "output_half_pixel":
        size = emit.op("Max", size, emit.scalar(1.0, size), role="size")
    step = emit.op("Div", size, emit.scalar(count, size), role="step")
    ratio = int_attribute(node, "sampling_ratio", 0)
    number = emit.scalar(ratio, step) if ratio else emit.op("Ceil", step, role="samples")
    order = emit.constant(np.arange(ratio), step.dtype) if ratio else _order(emit, number)
    place = emit.op("Add", order, emit.scalar(0.5, order), role="place")
    place = emit.op("Div", place, number, role="place")
    place = emit.op("Add", emit.constant(np.arange(count)[:, None], step.dtype), place)
    place = emit.op("Add", first, emit.op("Mul", place, step, role="way"), role="coordinate")
    extent = length(emit, x, 2 + axis, place)
    read = within(emit, place, emit.scalar(-1.0, place), extent, open=False)
    if not ratio:
        taken = emit.op("Less", order, number, role="taken", dtype=ir.DataType.BOOL)
        read = emit.op("And", read, taken, role="read", dtype=ir.DataType.BOOL)
    last = length(emit, x, 2 + axis, place, less=1)
    place = emit.op("Clip", place, emit.scalar(0.0, place), last, role="held")
    place = emit.op("Unsqueeze", place, emit.ints([3]), role="held")
    apart = emit.op("Sub", place, numbered(emit, x, 2 + axis, place), role="apart")
    near = emit.op("Sub", emit.scalar(1.0, place), emit.op("Abs", apart, role="apart"), role="near")
    near = where(emit, emit.op("Unsqueeze", read, emit.ints([3])), emit.op("Relu", near))
    total = emit.op("ReduceSum", near, emit.ints([2]), role="total", keepdims=0)
    number = emit.op("Max", number, emit.scalar(1.0, number), role="samples")
    return emit.op("Div", total, number, role="weights", shape=[None] * 3)


def _edge(emit: Emitter, rois: ir.Value, place: int, scale: float, shift: float) -> ir.Value:
    """One edge of all regions as a coordinate in cells, [R, 1, 1]."""
    edge = emit.op("Slice", rois, *(emit.ints([n]) for n in (place, place + 1, 1)), role="edge")
    edge = wide(emit, emit.op("Unsqueeze", edge, emit.ints([2]), role="edge"))
    edge = emit.op("Mul", edge, emit.scalar(scale, edge), role="edge")
    return emit.op("Sub", edge, emit.scalar(shift, edge), role="edge")


def _order(emit: Emitter, number: ir.Value) -> ir.Value:
    """0, 1, ... up to the largest number of samples of any region."""
    one = emit.constant([1.0], number.dtype)
    flat = emit.op("Reshape", number, emit.ints([-1]), role="samples")
    # There may be no regions.
    most = emit.op("ReduceMax", emit.op("Concat", one, flat, axis=0), role="most", keepdims=0)
    return emit.op("Range", emit.scalar(0.0, most), most, emit.scalar(1.0, most), role="order")
