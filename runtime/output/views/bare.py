"""A `BareView` shows a map alone, where it is not known which part of the input it lies over."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...inputs.image_files import Pixels
from ..render import Heatmap
from ..render.text import GREY, write
from .shades import fitted
from .view import Drawing, View

_ROOM, _STRIP = (320, 900), 24


class BareView(View):
    """A map without a picture below it; maps of more than two axes are set side by side."""

    def __init__(self, cells: Sequence[int]) -> None:
        """Show maps of the shape ``cells``."""
        self.shape = tuple(cells)

    def draw_alone(self) -> Pixels:
        """Draw white ground."""
        return self._framed(
            np.full((*_flat(np.zeros(self.shape, np.float32)).shape, 3), 255, np.uint8)
        )

    def draw_own(self, drawing: Drawing) -> Pixels:
        """Draw the colours of the cells."""
        return self._framed(drawing.palette.paint(_flat(drawing.values)))

    def _framed(self, cells: Pixels) -> Pixels:
        image = fitted(cells, _ROOM)
        canvas = np.full((image.shape[0] + _STRIP, max(image.shape[1], 360), 3), 255, np.uint8)
        text = f"map {list(self.shape)} alone, not placed on the input"
        write(canvas, text, 4, 15, 8.5, GREY)
        canvas[_STRIP:, : image.shape[1]] = image
        return canvas


def _flat(values: Heatmap) -> Heatmap:
    """Return a map as two axes: [h, w] side by side for all leading places."""
    if values.ndim < 3:
        return np.atleast_2d(values)
    planes = values.reshape(-1, *values.shape[-2:])
    return np.concatenate(list(planes), axis=1)
