"""A `Projection` is a map, or another small array, as it lies over an image.

It is computed block by block: an image of 24 megapixels needs no map of 24 million numbers.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, TypeAlias, cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ...inputs.preprocess import Placement
from .maps import Heatmap

Block: TypeAlias = tuple[slice, slice]
"""Rows and columns of an image."""

BLOCK = (64, 512)
"""Rows and columns that are drawn at once: few calls, and all arrays stay in the cache."""


class Projection:
    """An array [h, w] or [h, w, C] that lies over an image [H, W].

    Values between cell centres are bilinear, beyond the outermost centres constant.

    Attributes:
        shape: Height and width of the image.
        seen: The part of the image that the model saw; the array is continued outside.
    """

    def __init__(self, values: NDArray[Any], placement: Placement) -> None:
        """Lay ``values`` over the model's input, and that over the image as ``placement`` says."""
        self._values = values
        self.shape = placement.image
        self._axes = [
            _Axis(cells, positions * cells / size - 0.5)
            for cells, positions, size in zip(
                values.shape, _positions(placement), placement.size, strict=False
            )
        ]
        rows, columns = seen(placement)
        self.seen: Block = rows, columns

    @classmethod
    def over(cls, values: NDArray[Any], shape: tuple[int, int]) -> Projection:
        """Lay an array over all of an image of this height and width."""
        return cls(values, Placement(shape, shape, (0, 0), shape))

    def at(self, block: Block) -> NDArray[np.float32]:
        """Return the values in a block of the image, float32 [rows, columns] or with C."""
        return self._weighted(*(axis.weights(part) for axis, part in self._pairs(block)))

    def slope(self, block: Block) -> Heatmap:
        """Return the change of the values [h, w] per pixel in a block.

        It is the half difference of both neighbours; at the image's border, where one is missing,
        the difference to the other.
        """
        (rows, down), (columns, across) = (
            (axis.weights(part), axis.differences(part)) for axis, part in self._pairs(block)
        )
        sides = self._weighted(down, columns), self._weighted(rows, across)
        return cast("Heatmap", cv2.magnitude(*sides))

    def _pairs(self, block: Block) -> Iterator[tuple[_Axis, slice]]:
        return zip(self._axes, block, strict=True)

    def _weighted(self, rows: _Weights, columns: _Weights) -> NDArray[np.float32]:
        (down, tall), (across, wide) = rows, columns
        cells = self._values[down, across]
        if cells.ndim == 2:
            return tall @ (cells @ wide.T)
        lines = np.matmul(wide, cells)
        return (tall @ lines.reshape(len(lines), -1)).reshape(len(tall), *lines.shape[1:])


def blocks(area: Block) -> Iterator[Block]:
    """Cut a part of an image into blocks of at most `BLOCK`."""
    rows, columns = area
    for top in range(rows.start, rows.stop, BLOCK[0]):
        for left in range(columns.start, columns.stop, BLOCK[1]):
            yield (
                slice(top, min(top + BLOCK[0], rows.stop)),
                slice(left, min(left + BLOCK[1], columns.stop)),
            )


def project(heatmap: Heatmap, placement: Placement) -> Heatmap:
    """Project a map [h, w] of the model's input onto the image [H, W]: the inverse of the crop.

    Each cell covers an equal share of the model's input. Values between cell centres are bilinear,
    beyond the outermost centres constant, and exactly 0 outside the crop.
    """
    projection = Projection(heatmap, placement)
    whole = np.zeros(projection.shape, np.float32)
    for block in blocks(projection.seen):
        # Weights that sum to 1 in float32 can overshoot by one rounding.
        np.clip(projection.at(block), -1, 1, out=whole[block])
    return whole


def seen(placement: Placement) -> Block:
    """Return the part of the image that is in the model's input."""
    rows, columns = (
        # Positions rise: what is inside is one run.
        slice(*(int(end) for end in np.searchsorted(positions, (0, size))))
        for positions, size in zip(_positions(placement), placement.size, strict=True)
    )
    return rows, columns


def resample(values: Heatmap, extents: Sequence[int]) -> Heatmap:
    """Resize a map [..., *cells] in [-1, 1] to ``extents``, as a `Projection` does.

    Each cell covers an equal share of an axis. Leading axes stay.
    """
    for axis, extent in enumerate(extents, start=values.ndim - len(extents)):
        weights = interpolation(values.shape[axis], extent)
        values = np.moveaxis(np.tensordot(weights, values, axes=(1, axis)), 0, axis)
    # Weights that sum to 1 in float32 can overshoot by one rounding.
    return np.clip(values, -1, 1).astype(np.float32, copy=False)


def interpolation(cells: int, extent: int) -> Heatmap:
    """Return the matrix [extent, cells] that resamples an axis; see `resample`."""
    positions = np.clip((np.arange(extent) + 0.5) * cells / extent - 0.5, 0, cells - 1)
    return _matrix(positions, slice(0, cells))


_Weights: TypeAlias = tuple[slice, Heatmap]  # cells, and what each adds to each pixel


class _Axis:
    """One axis: which cells lie below which pixels."""

    def __init__(self, cells: int, positions: NDArray[np.float64]) -> None:
        """Take the positions of pixel centres, in cells from the first one's centre."""
        self._cells, self._positions = cells, np.clip(positions, 0, cells - 1)
        # The blocks of one image ask for the same few parts again and again.
        self._found: dict[tuple[bool, int, int], _Weights] = {}

    def weights(self, part: slice) -> _Weights:
        """Return the weights of the cells that a part of the axis touches, [pixels, cells]."""
        return self._remembered(part, differences=False)

    def differences(self, part: slice) -> _Weights:
        """Return the weights of the half difference between both neighbours, [pixels, cells]."""
        return self._remembered(part, differences=True)

    def _remembered(self, part: slice, *, differences: bool) -> _Weights:
        key = (differences, part.start, part.stop)
        if key not in self._found:
            self._found[key] = self._differences(part) if differences else self._weights(part)
        return self._found[key]

    def _weights(self, part: slice) -> _Weights:
        positions = self._positions[part]
        touched = slice(int(positions[0]), min(int(positions[-1]) + 2, self._cells))
        return touched, _matrix(positions, touched)

    def _differences(self, part: slice) -> _Weights:
        last = len(self._positions) - 1
        if not last:
            touched, matrix = self._weights(part)
            return touched, np.zeros_like(matrix)
        around = slice(max(part.start - 1, 0), min(part.stop + 1, last + 1))
        touched, matrix = self._weights(around)
        pixels = np.arange(part.start, part.stop)
        after, before = np.minimum(pixels + 1, last), np.maximum(pixels - 1, 0)
        change = matrix[after - around.start] - matrix[before - around.start]
        return touched, change / (after - before).astype(np.float32)[:, None]


def _positions(placement: Placement) -> list[NDArray[np.float64]]:
    """Return the centres of the image's rows and columns, in pixels of the model's input."""
    axes = zip(placement.image, placement.resized, placement.offset, strict=True)
    return [(np.arange(image) + 0.5) * resized / image - offset for image, resized, offset in axes]


def _matrix(positions: NDArray[np.float64], cells: slice) -> Heatmap:
    """Return the matrix [len(positions), cells] that interpolates at positions on one axis."""
    low = positions.astype(np.intp)
    high = np.minimum(low + 1, cells.stop - 1)
    matrix = np.zeros((len(positions), cells.stop - cells.start), np.float32)
    row = np.arange(len(positions))
    matrix[row, low - cells.start] = low + 1 - positions
    matrix[row, high - cells.start] += positions - low
    return matrix
