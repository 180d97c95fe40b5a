"""A `VolumeView` shows slices of a scan, and a `FramesView` images of a clip, with their maps."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...inputs.image_files import Pixels
from ..render import Heatmap, interpolation
from .photo import over_image
from .shades import Shades, fitted
from .tiles import in_rows, sheet
from .view import Drawing, View

_SLICES, _ACROSS = 12, 6
_FRAMES = 16
_TILE, _PLANE = 156, 318  # longest side, in pixels
_ROW = 984  # width of a row of tiles
_CROSS = (255, 255, 255)


class VolumeView(View):
    """A scan: a montage of slices, and the three planes through the map's maximum."""

    def __init__(
        self,
        values: NDArray[Any],
        channel: int | None,
        spacing: Sequence[float] | None = None,
        *,
        scan: bool = False,
    ) -> None:
        """Show a volume.

        Args:
            values: [A, B, C], with an axis for channels at ``channel``; see `Shades`.
            channel: The axis of the channels.
            spacing: Distance between neighbours along the three axes; None: equal.
            scan: The axes are x, y and z, as in a NIfTI file: slices lie along the last axis, with
                y upwards. Else they lie along the first axis, with the second one downwards.
        """
        self._values = values[None] if channel is None else np.moveaxis(values, channel, 0)
        self._shades = Shades(self._values, 0)
        self.shape = self._values.shape[1:]
        self._spacing = tuple(spacing or (1.0, 1.0, 1.0))
        self._scan = scan

    def draw_alone(self) -> Pixels:
        """Draw the slices, and the planes through the middle."""
        return self._draw(None, tuple(extent // 2 for extent in self.shape))

    def draw_own(self, drawing: Drawing) -> Pixels:
        """Draw slices, and the planes through the cell with the map's largest magnitude."""
        values = drawing.values
        cell = np.unravel_index(int(np.abs(values).argmax()), values.shape)
        places = zip(cell, values.shape, self.shape, strict=True)
        at = tuple(int((int(c) + 0.5) * extent / cells) for c, cells, extent in places)
        return self._draw(drawing, at)

    def _draw(self, drawing: Drawing | None, at: tuple[int, ...]) -> Pixels:
        axis = 2 if self._scan else 0
        numbers = _spread(self.shape[axis], _SLICES)
        slices = [(self._title(axis, n), self._tile(axis, n, _TILE, drawing)) for n in numbers]
        planes: list[tuple[str, Pixels]] = []
        for plane, number in enumerate(at):
            image = self._tile(plane, number, _PLANE, drawing)
            if drawing is not None:
                self._cross(image, plane, at)
            planes.append((self._title(plane, number), image))
        return sheet([*in_rows(slices, _ACROSS), planes])

    def _title(self, axis: int, number: int) -> str:
        name = "xyz"[axis] if self._scan else f"axis {axis}"
        return f"{name} = {number} of {self.shape[axis]}"

    def _tile(self, axis: int, number: int, side: int, drawing: Drawing | None) -> Pixels:
        """Draw the plane ``number`` across an axis, with its part of the map."""
        across, down = self._axes(axis)
        lengths = [self.shape[one] * self._spacing[one] for one in (across, down)]
        aspect = float(np.clip(lengths[0] / lengths[1], 1 / 8, 8))
        plane = self._shades.show(np.take(self._values, number, axis + 1), 0)
        image = fitted(self._upright(plane), (side, side), aspect)
        if drawing is None:
            return image
        weights = interpolation(drawing.values.shape[axis], self.shape[axis])[number]
        part = np.tensordot(weights, np.moveaxis(drawing.values, axis, 0), axes=1)
        return over_image(image, _part(drawing, self._upright(part)))

    def _axes(self, axis: int) -> tuple[int, int]:
        """Return the axes that run across and down in a plane across ``axis``."""
        first, second = (one for one in range(3) if one != axis)
        return (first, second) if self._scan else (second, first)

    def _upright(self, plane: NDArray[Any]) -> NDArray[Any]:
        """Turn a plane so that it is drawn as `_axes` says; in a scan the second axis is up."""
        return plane.swapaxes(0, 1)[::-1] if self._scan else plane

    def _cross(self, image: Pixels, axis: int, at: tuple[int, ...]) -> None:
        """Mark the place ``at`` by lines that leave its surroundings free."""
        across, down = self._axes(axis)
        x, y = ((at[one] + 0.5) / self.shape[one] for one in (across, down))
        y = 1 - y if self._scan else y
        height, width = image.shape[:2]
        column, row, free = int(x * width), int(y * height), 14
        for start, end in (
            ((0, row), (column - free, row)), ((column + free, row), (width - 1, row)),
            ((column, 0), (column, row - free)), ((column, row + free), (column, height - 1)),
        ):  # fmt: skip
            if start[0] <= end[0] and start[1] <= end[1]:
                cv2.line(image, start, end, _CROSS, 1)


class FramesView(View):
    """A clip, or another sequence of images: frames evenly spread over it, with their maps.

    All frames share one scale, so that colours can be compared between them.
    """

    def __init__(self, values: NDArray[Any], channel: int | None) -> None:
        """Show ``values``, [T, H, W] with an axis for the channels at ``channel``."""
        self._values = values[None] if channel is None else np.moveaxis(values, channel, 0)
        self._shades = Shades(self._values, 0)
        self.shape = self._values.shape[1:]
        self.frames = self.shape[0]

    def draw_alone(self) -> Pixels:
        """Draw the frames."""
        return self._draw(None)

    def draw_own(self, drawing: Drawing) -> Pixels:
        """Draw the frames with their parts of the map."""
        return self._draw(drawing)

    def _draw(self, drawing: Drawing | None) -> Pixels:
        count = self.shape[0]
        numbers = _spread(count, _FRAMES)
        columns = -(-len(numbers) // -(-len(numbers) // _ACROSS))
        side = min(_ROW // columns - 8, 318)
        tiles: list[tuple[str, Pixels]] = []
        for number in numbers:
            image = self._frame(number, (side, side), drawing)
            tiles.append((f"{number} of {count}", image))
        return sheet(in_rows(tiles, columns))

    def draw_frames(self, drawing: Drawing) -> Iterator[Pixels]:
        """Draw each image of the clip with its part of the map."""
        count, height, width = self.shape
        tall = drawing.height or height
        room = tall, max(1, round(tall * width / height))
        for number in range(count):
            yield self._frame(number, room, drawing)

    def _frame(self, number: int, room: tuple[int, int], drawing: Drawing | None) -> Pixels:
        """Draw one image of the clip in a room of rows and columns."""
        count = self.shape[0]
        frame = self._shades.show(self._values[:, number], 0)
        image = fitted(frame, room, self.shape[2] / self.shape[1])
        if drawing is None:
            return image
        weights = interpolation(len(drawing.values), count)[number]
        part = np.tensordot(weights, drawing.values, axes=1)
        return over_image(image, _part(drawing, part))


def _spread(count: int, most: int) -> list[int]:
    """Return at most ``most`` numbers below ``count``, evenly spread."""
    if count <= most:
        return list(range(count))
    return [int((number + 0.5) * count / most) for number in range(most)]


def _part(drawing: Drawing, values: Heatmap) -> Drawing:
    """Return a part of a map, to be drawn alike."""
    values = np.clip(values, -1, 1).astype(np.float32)
    return Drawing(np.ascontiguousarray(values), drawing.palette, drawing.look)
