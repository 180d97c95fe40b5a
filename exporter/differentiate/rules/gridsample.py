"""This rule differentiates sampling by a grid, as in spatial transformers (Jaderberg 2015)."""

from __future__ import annotations

from functools import partial

import onnx_ir as ir

from ...graph.attributes import int_attribute, only_input, string_attribute
from ...graph.emitter import Emitter, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.interpolation import (
    LINEAR,
    NEAREST,
    AxisSamples,
    Kernel,
    axis_samples,
    cubic,
    length,
    within,
)
from ..support.sampling import Table, by_coordinates, put, taken
from ..support.values import cells, classes, narrowed, parts_of, reshape_like, where, wide

_CUBIC = cubic(-0.75)
# By their names until opset 19 and since.
_KERNELS = {
    "nearest": NEAREST,
    "bilinear": LINEAR,
    "linear": LINEAR,
    "bicubic": _CUBIC,
    "cubic": _CUBIC,
}


def _kernel(node: ir.Node) -> Kernel:
    return _KERNELS[string_attribute(node, "mode", "linear")]


def _interpolates(node: ir.Node) -> str | None:
    axes = len(dims_of(only_input(node))) - 2
    if axes > 2 and _kernel(node) is _CUBIC:
        return f"cubic interpolation along {axes} axes has no gradient rule; use mode='linear'"
    return None


@vjp("GridSample", since=16, check=_interpolates)
def grid_sample(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """To the cells that a sample read, by weight; to the grid, by the weights' slopes.

    As in PyTorch: on a cell the slope is that of the interval above it; it is 0 where ``border``
    clamps a coordinate (on the border too) and the other way round where ``reflection`` turns it.
    With ``nearest`` the grid gets none.
    """
    x, grid, out = only_input(node, 0), only_input(node, 1), node.outputs[0]
    space = range(2, len(dims_of(x)))
    (batch, channels), samples = parts_of(x, [0, 1]), cells(emit, out, space)
    table = Table([_reads(emit, node, axis) for axis in space], batch, samples)
    shape = emit.vector([classes(emit), batch, channels, samples])
    flat = emit.op("Reshape", g.value, shape, role="flat")
    results: list[Cotangent | None] = [None, None]
    if needed[0]:
        image = put(emit, flat, table, channels, cells(emit, x, space))
        results[0] = g.with_value(reshape_like(emit, image, x))
    if needed[1] and _kernel(node) is not NEAREST:
        shape = emit.vector([batch, channels, cells(emit, x, space)])
        image = emit.op("Reshape", x, shape, role="image")
        slopes = by_coordinates(emit, flat, taken(emit, image, table, channels), table)
        slopes = [
            emit.op("Mul", wide(emit, slope), _by_number(emit, node, axis), role="slope")
            for slope, axis in zip(slopes, space, strict=True)
        ]
        # The grid names the last axis first.
        joined = emit.op("Concat", *reversed(slopes), role="slopes", axis=2)
        joined = emit.op("Transpose", joined, role="slopes", perm=[0, 1, 3, 2])
        joined = narrowed(emit, joined, grid)
        results[1] = g.with_value(reshape_like(emit, joined, grid))
    return results


def _reads(emit: Emitter, node: ir.Node, axis: int) -> AxisSamples:
    """What the samples read along an axis: padding moves coordinates, but a cubic's taps."""
    x, kernel = only_input(node), _kernel(node)
    padding = string_attribute(node, "padding_mode", "zeros")
    coordinate = _coordinate(emit, node, axis)
    low, span = _borders(emit, node, axis, coordinate)
    moved = partial(_reflected, emit, low=low, span=span) if padding == "reflection" else None
    if kernel is not _CUBIC and padding != "zeros":
        last = length(emit, x, axis, coordinate, less=1)
        coordinate = coordinate if moved is None else moved(coordinate)
        coordinate = emit.op("Clip", coordinate, emit.scalar(0.0, last), last, role="held")
        moved = None
    return axis_samples(emit, kernel, coordinate, x, axis, zeros=padding == "zeros", moved=moved)


def _coordinate(emit: Emitter, node: ir.Node, axis: int) -> ir.Value:
    """The grid's numbers for an axis in cells, [N, 1, P].

    The steps are those of ONNX Runtime: the same rounding finds the same cells.
    """
    x, grid = only_input(node, 0), only_input(node, 1)
    place = len(dims_of(x)) - 1 - axis
    bounds = emit.ints([place]), emit.ints([place + 1]), emit.ints([len(dims_of(grid)) - 1])
    number = emit.op("Slice", grid, *bounds, role="number")
    # In float16, places near 64 would be 1/32 of a cell apart.
    number = wide(emit, emit.op("Reshape", number, emit.ints([0, 1, -1]), role="number"))
    one, two = emit.scalar(1.0, number), emit.scalar(2.0, number)
    _, span = _borders(emit, node, axis, number)
    up = emit.op("Add", number, one, role="up")
    if int_attribute(node, "align_corners", 0):
        return emit.op("Mul", emit.op("Div", up, two, role="half"), span, role="coordinate")
    whole = emit.op("Sub", emit.op("Mul", up, span, role="whole"), one, role="whole")
    return emit.op("Div", whole, two, role="coordinate")


def _borders(emit: Emitter, node: ir.Node, axis: int, like: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Coordinate of the grid's -1, and how far it is from there to 1.

    The borders are the centres of the outermost cells under ``align_corners``, else their edges.
    """
    aligned = int_attribute(node, "align_corners", 0)
    span = length(emit, only_input(node), axis, like, less=aligned)
    return emit.scalar(0.0 if aligned else -0.5, like), span


def _reflected(emit: Emitter, value: ir.Value, low: ir.Value, span: ir.Value) -> ir.Value:
    """A coordinate turned back at the borders, as often as it takes."""
    ahead = emit.op("Abs", _ahead(emit, value, low, span), role="ahead")
    return emit.op(
        "Sub", emit.op("Add", _some(emit, span), low, role="upper"), ahead, role="turned"
    )


def _ahead(emit: Emitter, value: ir.Value, low: ir.Value, span: ir.Value) -> ir.Value:
    """What is left of a coordinate's way to and fro before it turns at the upper border."""
    span = _some(emit, span)
    way = emit.op("Abs", emit.op("Sub", value, low, role="way"), role="way")
    both = emit.op("Mul", span, emit.scalar(2.0, span), role="to_and_fro")
    return emit.op("Sub", span, emit.op("Mod", way, both, role="way", fmod=1), role="ahead")


def _some(emit: Emitter, span: ir.Value) -> ir.Value:
    """The span, or 1 where an image of one cell has none under ``align_corners``."""
    return emit.op("Max", span, emit.scalar(1.0, span), role="span")


def _by_number(emit: Emitter, node: ir.Node, axis: int) -> ir.Value:
    """Derivative of an axis' coordinate, after padding, by the grid's number for it."""
    padding = string_attribute(node, "padding_mode", "zeros")
    coordinate = _coordinate(emit, node, axis)
    low, span = _borders(emit, node, axis, coordinate)
    slope = emit.op("Mul", span, emit.scalar(0.5, span), role="scale")
    if _kernel(node) is _CUBIC or padding == "zeros":
        return slope
    if padding == "reflection":
        outward = emit.op("Sign", emit.op("Sub", coordinate, low, role="way"), role="outward")
        upward = emit.op("Sign", _ahead(emit, coordinate, low, span), role="upward")
        slope = emit.op("Mul", emit.op("Mul", outward, upward, role="sign"), slope, role="scale")
        coordinate = _reflected(emit, coordinate, low, span)
    last = length(emit, only_input(node), axis, coordinate, less=1)
    free = within(emit, coordinate, emit.scalar(0.0, last), last, open=True)
    return where(emit, free, slope)
