"""A `PlaneView` shows an array of two axes, such as a spectrogram, with a map over it."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...inputs.image_files import Pixels
from .photo import over_image
from .shades import fitted, pictured
from .view import Drawing, View

_ROOM = (640, 1000)
_FLATTEST = 5.0  # width over height, and height over width: longer arrays are shown compressed


class PlaneView(View):
    """An array; row 0 is on top."""

    def __init__(self, values: NDArray[Any], channel: int | None) -> None:
        """Show ``values``, [H, W] with an axis for the channels at ``channel``."""
        self._values, self._channel = values, channel
        height, width = (n for axis, n in enumerate(values.shape) if axis != channel)
        self.shape = (height, width)
        self.own_row = width > height

    def draw_alone(self) -> Pixels:
        """Draw the array as an image, enlarged or shrunk."""
        height, width = self.shape
        aspect = float(np.clip(width / height, 1 / _FLATTEST, _FLATTEST))
        return fitted(pictured(self._values, self._channel), _ROOM, aspect)

    def draw_own(self, drawing: Drawing) -> Pixels:
        """Draw the map over the array."""
        return over_image(self.image, drawing)
