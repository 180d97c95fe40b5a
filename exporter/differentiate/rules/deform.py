"""This rule differentiates deformable convolution (Dai et al., 2017; Zhu et al., 2019)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, Extent, dims_of, parts_of
from ...graph.expression import Expression
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.interpolation import LINEAR, AxisSamples, axis_samples, numbered
from ..support.sampling import (
    Table,
    by_coordinates,
    interpolated,
    over_channels,
    product,
    put,
    taken,
)
from ..support.values import cells, fold, narrowed, reshape_like, static_extent, wide
from .conv import conv_window


def _planar(node: ir.Node) -> str | None:
    weights = node.inputs[1]
    if weights is None or weights.shape is None or not weights.shape.is_static():
        return "its weights have no static shape; export them as a constant"
    if len(weights.shape) != 4:
        return (
            f"{len(weights.shape) - 2} spatial axes have no gradient rule; choose a layer after it"
        )
    return None


@vjp("DeformConv", since=19, inputs=(0, 2, 4), check=_planar)
def deform_conv(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent of the columns ``mask * x(place + offset)``, which the weights are applied to.

    It goes to the cells that a column read, by weight; to the offsets, by the weights' slopes (on
    a cell that of the interval above it); to the mask, by what was read. Outside the image all
    is zero, as in PyTorch.
    """
    deformed = _deformed(emit, node)
    table, space = deformed.table(emit), cells(emit, only_input(node), [2, 3])
    columns = deformed.column_grads(emit, g.value)
    mask = node.inputs[4] if len(node.inputs) > 4 else None
    masked = columns
    if mask is not None and (needed[0] or needed[2]):
        mask_rows = emit.op("Reshape", mask, [deformed.batch, 1, deformed.reads], role="mask")
        masked = emit.op("Mul", columns, mask_rows)
    results: list[Cotangent | None] = [None] * 5
    if needed[0]:
        image = put(emit, masked, table, deformed.channels, space)
        results[0] = g.with_value(reshape_like(emit, image, only_input(node)))
    if not needed[2] and not any(needed[4:]):
        return results[: len(needed)]
    shape = [deformed.batch, deformed.channels, space]
    image = emit.op("Reshape", only_input(node), shape, role="image")
    read = taken(emit, image, table, deformed.channels)
    if needed[2]:
        slopes = by_coordinates(emit, masked, read, table)
        results[2] = g.with_value(deformed.offset_grads(emit, slopes))
    if mask is not None and needed[4]:
        by_mask = over_channels(emit, columns, interpolated(emit, read, table.weights(emit)))
        results[4] = g.with_value(reshape_like(emit, by_mask, mask))
    return results[: len(needed)]


@dataclass(frozen=True)
class _Deformed:
    """A deformable convolution by *offset groups*: channels that are read at the same places.

    Attributes:
        node: The node.
        batch: Images times offset groups.
        channels: Channels of an offset group.
        reads: Cells of the kernel times places of the output.
    """

    node: ir.Node
    batch: Extent
    channels: int
    reads: Extent

    def table(self, emit: Emitter) -> Table:
        """What is read, cell of the kernel by cell, at all places of the output."""
        return Table([self._along(emit, axis) for axis in (0, 1)], self.batch, self.reads)

    def _along(self, emit: Emitter, axis: int) -> AxisSamples:
        node, window, offset = self.node, conv_window(self.node), only_input(self.node, 2)
        space = parts_of(node.outputs[0], [2, 3])
        shape = [self.batch, *window.kernel, 2, *space]
        shift = emit.op("Reshape", wide(emit, offset), shape, role="offsets")
        shift = emit.op("Gather", shift, emit.constant(axis), role="shift", axis=3)
        # [batch, *kernel, *places]: the own axis of each of the two, then those behind it.
        cells = np.arange(window.kernel[axis]) * window.dilations[axis] - window.before[axis]
        cell = emit.constant(cells.reshape(-1, *[1] * (3 - axis)), shift.dtype)
        first = Expression(emit, numbered(emit, node.outputs[0], 2 + axis, shift))
        if axis == 0:
            first = first.op("Unsqueeze", [1])
        place = first.of(cell) + first * window.strides[axis] + shift
        place = place.op("Reshape", [0, 1, -1])
        return axis_samples(LINEAR, place, only_input(node), 2 + axis, zeros=True)

    def column_grads(self, emit: Emitter, grad: ir.Value) -> ir.Value:
        """The transposed weights applied to ``[K, *out]``: [K, batch, channels, reads]."""
        weights, groups = only_input(self.node, 1), self.node.attributes.get_int("group", 1)
        out, inner, *kernel = [extent for extent in dims_of(weights) if isinstance(extent, int)]
        rows = inner * kernel[0] * kernel[1]
        value = emit.op("Reshape", weights, [groups, out // groups, rows], role="grouped")
        value = emit.op("Transpose", value, role="exchanged", perm=[0, 2, 1])
        value = emit.op("Reshape", value, [groups * rows, out // groups, 1, 1], role="exchanged")
        columns = emit.op("Conv", fold(emit, grad, self.node.outputs[0]), value, group=groups)
        shape = [emit.classes, self.batch, self.channels, self.reads]
        return emit.op("Reshape", columns, shape, role="columns")

    def offset_grads(self, emit: Emitter, slopes: Sequence[ir.Value]) -> ir.Value:
        """Slopes [K, batch, 1, reads] by axis as the offsets, the axes behind each cell."""
        kernel, offset = conv_window(self.node).kernel, only_input(self.node, 2)
        places = cells(emit, self.node.outputs[0], [2, 3])
        shape = [emit.classes, self.batch, kernel[0] * kernel[1], 1, places]
        apart = [emit.op("Reshape", slope, shape, role="slope") for slope in slopes]
        joined = narrowed(emit, emit.op("Concat", *apart, role="slopes", axis=3), offset)
        return reshape_like(emit, joined, offset)


def _deformed(emit: Emitter, node: ir.Node) -> _Deformed:
    x, weights, groups = only_input(node), only_input(node, 1), node.attributes.get_int("group", 1)
    shared, kernel = node.attributes.get_int("offset_group", 1), conv_window(node).kernel
    places, channels = cells(emit, node.outputs[0], [2, 3]), static_extent(weights, 1) * groups
    batch = product(emit, shared, parts_of(x, [0])[0])
    reads = product(emit, kernel[0] * kernel[1], places)
    return _Deformed(node, batch, channels // shared, reads)
