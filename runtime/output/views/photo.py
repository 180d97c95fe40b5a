"""A `PhotoView` draws maps over a photograph, or over an array that is shown as one."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from ...inputs.image_files import Pixels
from ...inputs.preprocess import Placement
from ..render import STYLES, Heatmap, Projection, Scene, project
from .view import Drawing, View


class PhotoView(View):
    """A photograph; maps undo its resize and crop."""

    own_row = False

    def __init__(self, pixels: Pixels, placement: Placement) -> None:
        self._pixels = pixels
        self.placement = self._placement = placement
        self.shape = placement.image

    def draw_alone(self) -> Pixels:
        """Return the photograph."""
        return self._pixels

    def draw(self, drawing: Drawing) -> Pixels:
        """Draw the map over the photograph, both at the height."""
        return over_image(self.plain(drawing.height), drawing, self._placement)

    def draw_own(self, drawing: Drawing) -> Pixels:
        """Draw the map over the photograph at its own height."""
        return over_image(self.image, drawing, self._placement)

    def project(self, values: Heatmap) -> Heatmap:
        """Return the map over the photograph, 0 outside the crop."""
        return project(values, self._placement)

    def summary(self) -> dict[str, Any]:
        """Return width and height."""
        return {"width": self._placement.image[1], "height": self._placement.image[0]}


def over_image(image: Pixels, drawing: Drawing, placement: Placement | None = None) -> Pixels:
    """Draw a map over an image in the drawing's style.

    Args:
        image: RGB uint8 [H, W, 3].
        drawing: The map, float32 [h, w].
        placement: The geometry between the image, at any size, and the model's input; None: the
            map covers the image.
    """
    size = (image.shape[0], image.shape[1])
    whole = Placement(size, size, (0, 0), size)
    placement = whole if placement is None else replace(placement, image=size)
    values = Projection(np.ascontiguousarray(drawing.values), placement)
    scene = Scene(image, values, drawing.palette, drawing.look.alpha, drawing.look.opacity)
    return STYLES[drawing.look.style](scene)
