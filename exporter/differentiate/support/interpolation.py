"""This module interpolates along one axis: cells that a sample reads, their weights and slopes.

A sample at coordinate ``c`` reads the *taps* around ``c``. A tap's weight is a polynomial in the
fraction ``c - floor(c)``, and its slope that polynomial's derivative.

Shapes: B images, P samples of each, T taps of a sample.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import onnx_ir as ir

from ...graph.emitter import Emitter, Extent, dims_of, parts_of
from ...graph.expression import Expression
from .values import both, narrowed


@dataclass(frozen=True)
class Kernel:
    """An interpolation along one axis.

    Attributes:
        base: Operator from a coordinate to the tap that the others are counted from.
        first: The first tap, counted from there.
        weights: Coefficients of the taps' weights, a row for each power of the fraction.
    """

    base: str
    first: int
    weights: tuple[tuple[float, ...], ...]


NEAREST = Kernel("Round", 0, ((1.0,),))
LINEAR = Kernel("Floor", 0, ((1.0, 0.0), (-1.0, 1.0)))


def cubic(a: float) -> Kernel:
    """The cubic convolution of Keys (1981) with coefficient ``a``."""
    return Kernel(
        "Floor",
        -1,
        (
            (0.0, 1.0, 0.0, 0.0),
            (a, 0.0, -a, 0.0),
            (-2 * a, -a - 3, 2 * a + 3, a),
            (a, a + 2, -a - 2, -a),
        ),
    )


@dataclass(frozen=True)
class AxisSamples:
    """What the samples read along one axis.

    Attributes:
        kernel: The interpolation.
        extent: Cells of the image along the axis.
        coordinate: Float [B, 1, P].
        base: Float [B, 1, P], the tap that the others are counted from.
        places: int64 [B, T, P], cells inside the image.
        inside: bool [B, T, P], or None where all taps count; the others read zeros.
    """

    kernel: Kernel
    extent: Extent
    coordinate: Expression
    base: Expression
    places: ir.Value
    inside: ir.Value | None

    def weights(self, emit: Emitter) -> ir.Value:
        """The taps' weights, [B, T, P]."""
        return self._polynomial(emit, np.asarray(self.kernel.weights), "weights")

    def slopes(self, emit: Emitter) -> ir.Value:
        """The weights' derivatives by the coordinate, [B, T, P]."""
        powers = np.asarray(self.kernel.weights)
        return self._polynomial(emit, powers[1:] * np.arange(1, len(powers))[:, None], "slopes")

    def _polynomial(self, emit: Emitter, powers: np.ndarray, role: str) -> ir.Value:
        dtype = self.coordinate.value.dtype
        *rows, value = [emit.constant(row[None, :, None], dtype) for row in powers]
        if rows:
            fraction = (self.coordinate - self.base).value
            for row in reversed(rows):
                value = emit.op("Add", emit.op("Mul", value, fraction, role=role), row, role=role)
        if self.inside is None:
            shape = None if rows else emit.op("Shape", self.places, role="extents")
            return value if shape is None else emit.op("Expand", value, shape, role=role)
        return emit.op("Where", self.inside, value, 0.0, role=role)


def axis_samples(
    kernel: Kernel,
    coordinate: Expression,
    x: ir.Value,
    axis: int,
    *,
    zeros: bool,
    moved: Callable[[Expression], Expression] | None = None,
) -> AxisSamples:
    """Read ``x`` along ``axis`` around a coordinate [B, 1, P].

    Taps outside the image read zeros, or else the cell that is nearest after ``moved``.
    """
    emit, base = coordinate.emit, coordinate.op(kernel.base, role="base")
    steps = kernel.first + np.arange(len(kernel.weights[0]))
    taps = base + emit.constant(steps[None, :, None], base.value.dtype)
    if moved is not None:
        taps = moved(taps)
    high = length(emit, x, axis, taps.value, less=1)
    inside = within(emit, taps.value, 0.0, high, open=False) if zeros else None
    places = taps.op("Clip", 0.0, high, role="places").value
    places = emit.cast(places, ir.DataType.INT64, "places")
    return AxisSamples(kernel, parts_of(x, [axis])[0], coordinate, base, places, inside)


def length(emit: Emitter, x: ir.Value, axis: int, like: ir.Value, less: int = 0) -> ir.Value:
    """Cells of ``x`` along ``axis``, less some, as a number of the type of ``like``."""
    extent = dims_of(x)[axis]
    if isinstance(extent, int):
        return emit.scalar(extent - less, like)
    read = emit.op("Squeeze", emit.extents(x, [axis]), [0], role="length")
    read = narrowed(emit, read, like)
    return emit.op("Sub", read, less, role="length") if less else read


def numbered(emit: Emitter, x: ir.Value, axis: int, like: ir.Value) -> ir.Value:
    """The cells of ``x`` along ``axis``: 0, 1, ... in the type of ``like``."""
    extent = dims_of(x)[axis]
    if isinstance(extent, int):
        return emit.constant(np.arange(extent), like.dtype)
    count = emit.op("Squeeze", emit.extents(x, [axis]), [0], role="count")
    return narrowed(emit, emit.op("Range", 0, count, 1), like)


def within(
    emit: Emitter, value: ir.Value, low: float, high: ir.Value | float, *, open: bool
) -> ir.Value:
    """Where a value lies between two bounds, as a mask; the bounds belong to it unless open."""
    suffix = "" if open else "OrEqual"
    above = emit.op(f"Greater{suffix}", value, low, role="above")
    return both(emit, above, emit.op(f"Less{suffix}", value, high, role="below"))
