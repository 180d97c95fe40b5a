"""This module interpolates at computed places: cells that samples read, weights and slopes.

A cell's weight is the product of the weights along each axis (`taps`). Written out as a table of
cells and weights, the adjoint by the image is a sum into those cells; the derivative by a
coordinate has the slopes in place of one axis' weights.

Shapes: B images of C channels and S cells; P samples of each, which read Q cells.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...graph.emitter import Emitter, Extent
from .interpolation import AxisSamples
from .values import narrowed, scatter_add, wide


@dataclass(frozen=True)
class Table:
    """What the samples read in the whole image.

    Attributes:
        axes: AxisSamples each axis.
        batch: B.
        samples: P.
    """

    axes: Sequence[AxisSamples]
    batch: Extent
    samples: Extent

    @property
    def taps(self) -> int:
        """Cells that one sample reads, Q."""
        return math.prod(len(along.kernel.weights[0]) for along in self.axes)

    def weights(self, emit: Emitter, sloping: int | None = None) -> ir.Value:
        """Weights, or their derivatives by the coordinate along axis ``sloping``, [B, Q, P]."""
        product: ir.Value | None = None
        for axis, along in enumerate(self.axes):
            own = along.slopes(emit) if axis == sloping else along.weights(emit)
            own = self._spread_out(emit, own, axis)
            product = own if product is None else emit.op("Mul", product, own, role="weights")
        assert product is not None
        return self._joined(emit, product)

    def cells(self, emit: Emitter) -> ir.Value:
        """Places in the image's cells taken as one axis, int64 [B, Q, P]."""
        flat: ir.Value | None = None
        for axis, along in enumerate(self.axes):
            own = self._spread_out(emit, along.places, axis)
            if flat is not None:
                before = emit.op("Mul", flat, [along.extent], role="cells")
                own = emit.op("Add", before, own, role="cells")
            flat = own
        assert flat is not None
        return self._joined(emit, flat)

    def _spread_out(self, emit: Emitter, value: ir.Value, axis: int) -> ir.Value:
        """[B, T, P] with an axis of its own for the taps of each of the image's axes."""
        others = [1 + place for place in range(len(self.axes)) if place != axis]
        return emit.op("Unsqueeze", value, others, role="apart") if others else value

    def _joined(self, emit: Emitter, value: ir.Value) -> ir.Value:
        return emit.op("Reshape", value, [self.batch, self.taps, self.samples], role="joined")


def product(emit: Emitter, left: int, right: Extent) -> Extent:
    """The product of two extents."""
    if isinstance(right, int):
        return left * right
    if left == 1:
        return right
    return emit.op("Mul", [left], [right], role="cells")


def put(emit: Emitter, grad: ir.Value, table: Table, channels: Extent, cells: Extent) -> ir.Value:
    """Add each sample's cotangent to the cells that it read, by weight: [K, B, C, P] to [.., S]."""
    weights = emit.op("Unsqueeze", table.weights(emit), [1], role="weights")
    summed = wide(emit, grad)
    weights = narrowed(emit, weights, summed)
    apart = emit.op("Unsqueeze", summed, [3], role="apart")
    reads = product(emit, table.taps, table.samples)
    shape = emit.vector([emit.classes, table.batch, channels, reads])
    shares = emit.op("Reshape", emit.op("Mul", apart, weights, role="shares"), shape, role="shares")
    places = emit.op("Reshape", table.cells(emit), [0, 1, -1], role="places")
    places = emit.op("Expand", places, shape, role="places")
    whole = emit.vector([emit.classes, table.batch, channels, cells])
    return narrowed(emit, scatter_add(emit, whole, places, shares, axis=3), grad)


def taken(emit: Emitter, image: ir.Value, table: Table, channels: Extent) -> ir.Value:
    """What the samples read of an image [B, C, S]: [B, C, Q, P]."""
    reads = product(emit, table.taps, table.samples)
    places = emit.op("Reshape", table.cells(emit), [0, 1, -1], role="places")
    places = emit.op("Expand", places, [table.batch, channels, reads], role="places")
    values = emit.op("GatherElements", image, places, role="read", axis=2)
    shape = emit.vector([table.batch, channels, table.taps, table.samples])
    return emit.op("Reshape", values, shape, role="read")


def interpolated(emit: Emitter, read: ir.Value, weights: ir.Value) -> ir.Value:
    """Sum of taps [B, C, Q, P] by weights (or slopes) [B, Q, P]: [B, C, P]."""
    weights = emit.op("Unsqueeze", weights, [1], role="weights")
    weights = narrowed(emit, weights, read)
    shares = emit.op("Mul", read, weights, role="shares")
    return emit.op("ReduceSum", shares, [2], role="sampled", keepdims=0)


def by_coordinates(emit: Emitter, grad: ir.Value, read: ir.Value, table: Table) -> list[ir.Value]:
    """Cotangents [K, B, 1, P] of the coordinates along each axis; ``read`` is from `taken`."""
    slopes = [table.weights(emit, sloping=axis) for axis in range(len(table.axes))]
    return [over_channels(emit, grad, interpolated(emit, read, slope)) for slope in slopes]


def over_channels(emit: Emitter, grad: ir.Value, factor: ir.Value) -> ir.Value:
    """Inner product of [K, B, C, P] and [B, C, P] over the channels: [K, B, 1, P]."""
    return emit.op("ReduceSum", emit.op("Mul", grad, factor), [2], keepdims=1)
