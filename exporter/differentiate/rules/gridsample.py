"""This rule differentiates sampling by a grid, as in spatial transformers (Jaderberg 2015)."""

from __future__ import annotations

from functools import partial

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, dims_of, parts_of
from ...graph.expression import Expression
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
from ..support.values import cells, narrowed, reshape_like, wide

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
    return _KERNELS[node.attributes.get_string("mode", "linear")]


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
    flat = emit.op("Reshape", g.value, [emit.classes, batch, channels, samples], role="flat")
    results: list[Cotangent | None] = [None, None]
    if needed[0]:
        image = put(emit, flat, table, channels, cells(emit, x, space))
        results[0] = g.with_value(reshape_like(emit, image, x))
    if needed[1] and _kernel(node) is not NEAREST:
        image = emit.op("Reshape", x, [batch, channels, cells(emit, x, space)], role="image")
        slopes = by_coordinates(emit, flat, taken(emit, image, table, channels), table)
        slopes = [
            emit.op("Mul", wide(emit, slope), _by_number(emit, node, axis).value)
            for slope, axis in zip(slopes, space, strict=True)
        ]
        # The grid names the last axis first.
        joined = g.with_value(emit.op("Concat", *reversed(slopes), role="slopes", axis=2))
        joined = joined.op("Transpose", role="slopes", perm=[0, 1, 3, 2])
        results[1] = joined.through(narrowed, grid).through(reshape_like, grid)
    return results


def _reads(emit: Emitter, node: ir.Node, axis: int) -> AxisSamples:
    """What the samples read along an axis: padding moves coordinates, but a cubic's taps."""
    x, kernel = only_input(node), _kernel(node)
    padding = node.attributes.get_string("padding_mode", "zeros")
    coordinate = _coordinate(emit, node, axis)
    borders = _borders(node, axis, coordinate)
    moved = partial(_reflected, borders=borders) if padding == "reflection" else None
    if kernel is not _CUBIC and padding != "zeros":
        last = length(emit, x, axis, coordinate.value, less=1)
        coordinate = coordinate if moved is None else moved(coordinate)
        coordinate, moved = coordinate.op("Clip", 0.0, last), None
    return axis_samples(kernel, coordinate, x, axis, zeros=padding == "zeros", moved=moved)


def _coordinate(emit: Emitter, node: ir.Node, axis: int) -> Expression:
    """The grid's numbers for an axis in cells, [N, 1, P].

    The steps are those of ONNX Runtime: the same rounding finds the same cells.
    """
    grid, place = only_input(node, 1), len(dims_of(only_input(node))) - 1 - axis
    number = emit.op("Slice", grid, [place], [place + 1], [len(dims_of(grid)) - 1], role="number")
    # In float16, places near 64 would be 1/32 of a cell apart.
    number = wide(emit, emit.op("Reshape", number, [0, 1, -1], role="number"))
    up = Expression(emit, number)
    _, span = _borders(node, axis, up)
    up = up + 1.0
    if node.attributes.get_int("align_corners", 0):
        return up / 2.0 * span
    return (up * span - 1.0) / 2.0


def _borders(node: ir.Node, axis: int, like: Expression) -> tuple[float, Expression]:
    """Coordinate of the grid's -1, and how far it is from there to 1.

    The borders are the centres of the outermost cells under ``align_corners``, else their edges.
    """
    aligned = node.attributes.get_int("align_corners", 0)
    span = length(like.emit, only_input(node), axis, like.value, less=aligned)
    return 0.0 if aligned else -0.5, like.of(span)


def _reflected(value: Expression, borders: tuple[float, Expression]) -> Expression:
    """A coordinate turned back at the borders, as often as it takes."""
    ahead = _ahead(value, borders).op("Abs")
    return _some(borders[1]) + borders[0] - ahead


def _ahead(value: Expression, borders: tuple[float, Expression]) -> Expression:
    """What is left of a coordinate's way to and fro before it turns at the upper border."""
    low, span = borders[0], _some(borders[1])
    return span - (value - low).op("Abs").op("Mod", span * 2.0, fmod=1)


def _some(span: Expression) -> Expression:
    """The span, or 1 where an image of one cell has none under ``align_corners``."""
    return span.op("Max", 1.0)


def _by_number(emit: Emitter, node: ir.Node, axis: int) -> Expression:
    """Derivative of an axis' coordinate, after padding, by the grid's number for it."""
    padding = node.attributes.get_string("padding_mode", "zeros")
    coordinate = _coordinate(emit, node, axis)
    low, span = borders = _borders(node, axis, coordinate)
    slope = span * 0.5
    if _kernel(node) is _CUBIC or padding == "zeros":
        return slope
    if padding == "reflection":
        outward, upward = (coordinate - low).op("Sign"), _ahead(coordinate, borders).op("Sign")
        slope = outward * upward * slope
        coordinate = _reflected(coordinate, borders)
    last = length(emit, only_input(node), axis, coordinate.value, less=1)
    return slope.where(within(emit, coordinate.value, 0.0, last, open=True))
