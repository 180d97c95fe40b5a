"""These rules differentiate pooling with windows: averages, maxima and norms."""

from __future__ import annotations

import math

import numpy as np
import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, dims_of, parts_of
from ...graph.expression import Expression
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.cell_counts import divisor
from ..support.first_match import max_pool_by_mask
from ..support.strided import cut, padded, stuff
from ..support.values import (
    cells,
    fold,
    input_of,
    output_of,
    reshape_like,
    scatter_add,
    static_extent,
    times_extent,
    unfold,
)
from ..support.window import Window, adjoint_padding, balanced, has_window, window_of


@vjp("MaxPool", since=8, quantised=True, check=has_window)
def max_pool(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """Add each window's cotangent to the place of its maximum, the first one among ties.

    The places come from a second MaxPool with its Indices output: reading them from the forward
    node would prevent ONNX Runtime's blocked layout. They count through N and C. Where a provider
    has no Indices they are found by comparing, which costs a few nodes for each place in the
    window.
    """
    x, out = only_input(node), node.outputs[0]
    if not emit.profile.pool_indices:
        window = window_of(node)
        return [g.through(max_pool_by_mask, x, out, window).through(reshape_like, x)]
    own = {name: one.value for name, one in node.attributes.items()}
    indices = emit.ops(
        "MaxPool", x, count=2, role="places", dtype=[x.dtype, ir.DataType.INT64], **own
    )[1]
    flat = emit.op("Reshape", g.value, [emit.classes, cells(emit, out)], role="flat")
    places = emit.op("Reshape", indices, [1, -1], role="places")
    places = emit.op("Expand", places, [emit.classes, 1], role="places")
    added = scatter_add(emit, emit.vector([emit.classes, cells(emit, x)]), places, flat)
    return [g.with_value(reshape_like(emit, added, x))]


def _check_average(node: ir.Node) -> str | None:
    reason = has_window(node)
    if reason:
        return reason
    _, channels, *space = dims_of(only_input(node))
    window = window_of(node)
    cropped = zip(space, window.after, strict=True)
    if any(after < 0 and not isinstance(extent, int) for extent, after in cropped):
        return "negative padding needs static spatial extents"
    if any(d != 1 for d in window.dilations) and not isinstance(channels, int):
        return "dilations need a static number of channels"
    return None


@vjp("AveragePool", since=7, check=_check_average)
def average_pool(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """Spread each window's cotangent evenly over the cells that the window counted.

    ONNX Runtime reads no cells that negative padding crops.
    """
    x, out = only_input(node), node.outputs[0]
    window = window_of(node)
    if window.tiles and window.unit_stride:
        return [g]
    g = g / divisor(emit, node, window)
    if window.tiles:
        return [g.through(_tile, x, out, window)]
    g = _slid(g, x, out, window)
    for axis, after in enumerate(window.after):
        if after < 0:  # only dilated windows reach so far
            read = np.arange(extent := static_extent(x, 2 + axis)) < extent + after
            shape = [-1] + [1] * (len(window.after) - 1 - axis)
            g = g * emit.constant(read.reshape(shape), x.dtype)
    return [g]


def _slid(g: Cotangent, x: ir.Value, out: ir.Value, window: Window) -> Cotangent:
    """The sum over the windows that cover each cell; see `slide`."""
    mean = g.through(fold, out).through(slide, x, out, window).through(unfold, x)
    return mean * math.prod(window.kernel)


def _tile(emit: Emitter, value: ir.Value, x: ir.Value, out: ir.Value, window: Window) -> ir.Value:
    """Repeat each value over its window; cells that no window reaches get zeros."""
    lead, space = [emit.classes, *parts_of(out, [0, 1])], parts_of(out)[2:]
    apart = [*lead, *(part for extent in space for part in (extent, 1))]
    repeats = [1, 1, 1, *(part for k in window.kernel for part in (1, k))]
    extents = zip(space, window.kernel, strict=True)
    merged = [*lead, *(times_extent(emit, part, k) for part, k in extents)]
    value = emit.op("Reshape", value, apart, role="apart")
    value = emit.op("Expand", value, repeats, role="tiled")
    value = emit.op("Reshape", value, merged, role="tiled")
    _, upper, exact = adjoint_padding(window, dims_of(x)[2:], dims_of(out)[2:])
    widths = {3 + axis: (0, up) for axis, up in enumerate(upper)}
    value = padded(emit, value, 1 + len(dims_of(x)), widths)
    return value if exact else cut(emit, value, x, lead=1)


def slide(emit: Emitter, grad: ir.Value, x: ir.Value, out: ir.Value, window: Window) -> ir.Value:
    """Sum over the windows that cover each cell: a sliding sum of the stuffed cotangent.

    A sliding mean that counts its padding is such a sum but for the kernel's size, the caller's
    factor. It treats every channel alone, as a ConvTranspose would group by group. With dilations
    it is a convolution: ONNX Runtime's pools may not pad by as much as a dilated window reaches.
    """
    lower, upper, exact = adjoint_padding(window, dims_of(x)[2:], dims_of(out)[2:])
    value = stuff(emit, grad, -1, parts_of(out)[1:], [1, *window.strides])
    even, rest = balanced(lower, upper)
    value = padded(emit, value, len(dims_of(x)), rest)
    if all(d == 1 for d in window.dilations):
        shape = window.kernel
        value = emit.op(
            "AveragePool",
            value,
            role="sums",
            kernel_shape=shape,
            count_include_pad=1,
            pads=even * 2,
        )
    else:
        channels = static_extent(x, 1)
        kernel = np.full((channels, 1, *window.kernel), 1.0 / math.prod(window.kernel))
        value = emit.op(
            "Conv", value, emit.constant(kernel, x.dtype), role="sums",
            kernel_shape=window.kernel, dilations=window.dilations, pads=even * 2, group=channels,
        )  # fmt: skip
    return value if exact else cut(emit, value, x)


@vjp("LpPool", since=11, check=has_window)
def lp_pool(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``sign(x) |x|^(p-1)`` times the sum of ``g / y^(p-1)`` over the windows with the cell.

    0 from windows whose norm is 0.
    """
    x, out = only_input(node), node.outputs[0]
    window, p = window_of(node), node.attributes.get_int("p", 2)
    return [
        _slid(_share(g, output_of(emit, node), p), x, out, window) * _slope(input_of(emit, node), p)
    ]


@vjp("GlobalLpPool", since=2)
def global_lp_pool(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g sign(x) |x|^(p-1) / y^(p-1)``; 0 where the norm is 0."""
    p = node.attributes.get_int("p", 2)
    return [_share(g, output_of(emit, node), p) * _slope(input_of(emit, node), p)]


def _share(g: Cotangent, norm: Expression, p: int) -> Cotangent:
    """``g / y^(p-1)``; 0 where the norm is 0."""
    if p == 1:
        return g
    return (g / norm.without_zeros() ** (p - 1.0)).unless(norm.equals(0.0))


def _slope(x: Expression, p: int) -> Expression:
    """``sign(x) |x|^(p-1)``."""
    if p == 1:
        return x.op("Sign")
    return x if p == 2 else x.op("Sign") * x.op("Abs") ** (p - 1.0)
