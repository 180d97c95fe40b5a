"""Each style draws one map: over the image, alone, as contour lines, or by hiding the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from ...inputs.image_files import Pixels
from .look import Style
from .maps import Heatmap
from .palettes import Palette

LEVELS = (0.25, 0.5, 0.75)
"""Shares of the scale at which contours are drawn."""

_UNSEEN = (200, 200, 200)
_DARK = 0.25


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and one map over it.

    Attributes:
        image: RGB uint8 [H, W, 3].
        heatmap: float32 [H, W] in [0, 1] or, signed, [-1, 1]; continued outside the crop.
        seen: bool [H, W], the part of the image that the model saw.
        palette: The colours.
        alpha: Share of the colour where the heatmap is strongest.
    """

    image: Pixels
    heatmap: Heatmap
    seen: NDArray[np.bool_]
    palette: Palette
    alpha: float = 0.5

    @property
    def strength(self) -> Heatmap:
        """The heatmap's magnitude, 0 outside the crop."""
        return np.where(self.seen, np.abs(self.heatmap), np.float32(0))


def overlay(scene: Scene) -> Pixels:
    """Blend the colours into the image.

    The share of the colour is ``alpha`` times the square root of the heatmap's magnitude: without
    evidence the image does not change.
    """
    share = np.float32(scene.alpha) * np.sqrt(scene.strength)
    return _blend(scene.image, scene.palette.paint(scene.heatmap), share)


def heatmap(scene: Scene) -> Pixels:
    """Draw the colours alone; grey outside the crop."""
    drawn = scene.palette.paint(scene.heatmap)
    drawn[~scene.seen] = _UNSEEN
    return drawn


def contour(scene: Scene) -> Pixels:
    """Draw lines where the heatmap is a quarter, half and three quarters of its scale.

    The share of a line in a pixel follows from the distance to the level, (value - level) / slope,
    to first order. Lines have a dark rim, so that they are visible on any image.
    """
    width = max(1.5, min(scene.heatmap.shape) / 180)
    slope = _slope(scene.heatmap)
    levels = [*LEVELS, *(-level for level in LEVELS)] if scene.palette.signed else LEVELS
    drawn = scene.image
    for level in levels:
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            distance = (np.abs(scene.heatmap - level) / slope).astype(np.float32)
        # There is no line on a plateau, even at the level itself.
        distance[(slope <= 0) | ~scene.seen] = np.inf
        colour = scene.palette.paint(np.full_like(distance, level))
        drawn = _blend(drawn, np.zeros_like(drawn), 0.6 * _line(distance, width + 2))
        drawn = _blend(drawn, colour, _line(distance, width))
    return drawn


def masked(scene: Scene) -> Pixels:
    """Draw the image dark and blurred where there is no evidence."""
    sigma = max(1.0, max(scene.heatmap.shape) / 60)
    hidden = _DARK * cv2.GaussianBlur(scene.image, (0, 0), sigma).astype(np.float32)
    return _blend(hidden, scene.image, scene.strength)


STYLES: dict[Style, Callable[[Scene], Pixels]] = {
    "overlay": overlay,
    "heatmap": heatmap,
    "contour": contour,
    "mask": masked,
}


def _blend(below: NDArray[np.uint8] | NDArray[np.float32], above: Pixels, share: Heatmap) -> Pixels:
    """Mix two images [H, W, 3]; ``share`` [H, W] is the share of ``above``."""
    mixed = below + share[:, :, None] * (above.astype(np.float32) - below)
    return np.rint(mixed).astype(np.uint8)


def _slope(values: Heatmap) -> Heatmap:
    """Return the change of values [H, W] per pixel; at the border they are continued linearly."""
    padded = np.pad(values, 1, mode="reflect", reflect_type="odd")
    down, right = np.gradient(padded)
    return np.hypot(down, right)[1:-1, 1:-1].astype(np.float32)


def _line(distance: Heatmap, width: float) -> Heatmap:
    """Return the share of each pixel that a line covers, from the distance to its middle."""
    return np.clip(np.float32((width + 1) / 2) - distance, 0, 1)
