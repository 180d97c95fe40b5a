"""These rules differentiate operators that assemble images from windows, or cut them to size."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ...graph.attributes import constant_ints, ints_attribute, only_input
from ...graph.emitter import Emitter, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.strided import padded
from ..support.values import cells, needs_constant, reshape_like
from ..support.window import window_of


@vjp("Col2Im", since=18, inputs=(0,), check=needs_constant(1, 2))
def col2im(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The windows of the padded cotangent, side by side (im2col).

    Cell ``i`` of window ``o`` lies at ``o stride + i dilation`` along each axis.
    """
    window = window_of(node, constant_ints(node.inputs[2]))
    image = constant_ints(node.inputs[1])
    assert image is not None
    count = len(image)
    pads = {3 + a: pair for a, pair in enumerate(zip(window.before, window.after, strict=True))}
    g = g.through(padded, 3 + count, pads)
    for axis, extent in enumerate(image):
        within = extent + window.before[axis] + window.after[axis] - window.reach[axis]
        first = np.arange(0, within, window.strides[axis])
        cell = np.arange(window.kernel[axis]) * window.dilations[axis]
        places = emit.constant(cell[:, None] + first[None, :])
        # Each axis becomes two: the cell in the window, and the window.
        g = g.op("Gather", places, role="windows", axis=3 + 2 * axis)
    order = [*range(3), *range(3, 3 + 2 * count, 2), *range(4, 3 + 2 * count, 2)]
    g = g.op("Transpose", role="columns", perm=order)
    return [g.through(reshape_like, only_input(node))]


def _without_size(node: ir.Node) -> str | None:
    if len(node.inputs) > 2 and node.inputs[2] is not None:
        return (
            "output_shape has no gradient rule, runtimes count its places differently; leave it "
            "out and pad the result"
        )
    return None


@vjp("MaxUnpool", since=9, inputs=(0,), check=_without_size)
def max_unpool(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """Each value gets the cotangent of the place that it was written to.

    The places count through N and C. Where several values were written to one, all get its
    cotangent, as in PyTorch.
    """
    g = g.op("Reshape", [emit.classes, cells(emit, node.outputs[0])])
    places = emit.op("Reshape", only_input(node, 1), [-1], role="places")
    return [g.op("Gather", places, axis=1).through(reshape_like, only_input(node))]


def _resized(node: ir.Node) -> list[int]:
    """Axes that a CenterCropPad may change."""
    rank = len(dims_of(only_input(node)))
    axes = ints_attribute(node, "axes")
    return list(range(rank)) if axes is None else [axis % rank for axis in axes]


def _sized(node: ir.Node) -> str | None:
    before, after = dims_of(only_input(node)), dims_of(node.outputs[0])
    for axis in _resized(node):
        pair = before[axis], after[axis]
        known = all(isinstance(extent, int) for extent in pair)
        if not known and (None in pair or len(set(pair)) > 1):
            return f"the extents of axis {axis} are unknown; export them as static"
    return None


@vjp("CenterCropPad", since=18, inputs=(0,), check=_sized)
def center_crop_pad(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """Padding where the node cut and cut where it padded; an odd rest is at the upper end."""
    before, after = dims_of(only_input(node)), dims_of(node.outputs[0])
    widths: dict[int, tuple[int, int]] = {}
    for axis in _resized(node):
        extent, count = before[axis], after[axis]
        if isinstance(extent, int) and isinstance(count, int):
            low = abs(extent - count) // 2 * (1 if extent > count else -1)
            widths[1 + axis] = low, extent - count - low
    return [g.through(padded, 1 + len(before), widths)]
