"""Each style draws one map: over the image, alone, as contour lines, or by hiding the rest.

Images are drawn block by block: whole copies in floating point would take more time than decoding
the image's file, and a gigabyte for 24 megapixels.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from ...inputs.image_files import Pixels
from .blend import darken, mix, opacity_of, shares, shrunk
from .look import Look, Opacity, Style
from .maps import Heatmap
from .palettes import Palette
from .projection import BLOCK, Projection, blocks

LEVELS = (0.25, 0.5, 0.75)
"""Shares of the scale at which contours are drawn."""

_UNSEEN = 200
_DARK = 0.25
_BLUR = 4  # the blur's sigma in pixels of a shrunk copy: enough for a smooth enlargement
_PLATEAU = 1e-6  # changes per pixel up to this are rounding
_FAR = 1e9  # from any line, in pixels
_RIM = 0.6  # share of black or white in the rim of a line
_DARK_LINE = 110  # grey level below which a line's rim is light


@dataclass(frozen=True, eq=False)
class Scene:
    """An image and one map over it.

    Attributes:
        image: RGB uint8 [H, W, 3].
        heatmap: The map over the image, in [0, 1] or, signed, [-1, 1].
        palette: The colours.
        alpha: Share of the colour where the heatmap is strongest.
        opacity: Whether the share follows the evidence, or is the same everywhere.
    """

    image: Pixels
    heatmap: Projection
    palette: Palette
    alpha: float = Look.alpha
    opacity: Opacity = Look.opacity


def overlay(scene: Scene) -> Pixels:
    """Blend the colours into the image; `opacity_of` says with which share."""
    drawn = scene.image.copy()
    for block in blocks(scene.heatmap.seen):
        values = scene.heatmap.at(block)
        share = opacity_of(values, scene.alpha, scene.opacity)
        mix(drawn[block], scene.palette.paint(values), share)
    return drawn


def tinted(drawn: Pixels, values: Heatmap, palette: Palette, look: Look) -> Pixels:
    """Lay colours over dark ink on white ground, as coloured light: dark lines stay dark.

    Args:
        drawn: RGB uint8 [H, L, 3].
        values: One for each column, [L].
        palette: The colours.
        look: Says with which share; see `opacity_of`.
    """
    ground = np.full((1, len(values), 3), 255, np.uint8)
    share = opacity_of(values[None], look.alpha, look.opacity)
    mix(ground, palette.paint(values[None]), share)
    return np.rint(drawn * (ground / np.float32(255))).astype(np.uint8)


def heatmap(scene: Scene) -> Pixels:
    """Draw the colours alone; grey outside the crop."""
    drawn = np.full_like(scene.image, _UNSEEN)
    for block in blocks(scene.heatmap.seen):
        drawn[block] = scene.palette.paint(scene.heatmap.at(block))
    return drawn


def contour(scene: Scene) -> Pixels:
    """Draw lines where the heatmap is a quarter, half and three quarters of its scale.

    The share of a line in a pixel follows from the distance to the level, (value - level) / slope,
    to first order. Light lines have a dark rim and dark ones a light rim, so that they are visible
    on any image.
    """
    drawn = scene.image.copy()
    width = max(1.5, min(scene.heatmap.shape) / 180)
    levels = [*LEVELS, *(-level for level in LEVELS)] if scene.palette.signed else LEVELS
    colours = [scene.palette.paint(np.full(BLOCK, level, np.float32)) for level in levels]
    for block in blocks(scene.heatmap.seen):
        values, slope = scene.heatmap.at(block), scene.heatmap.slope(block)
        reach = (width + 3) / 2 * float(slope.max())
        low, high = float(values.min()) - reach, float(values.max()) + reach
        for level, colour in zip(levels, colours, strict=True):
            if low <= level <= high:
                _draw_line(drawn[block], _distance(values - level, slope), width, colour)
    return drawn


def masked(scene: Scene) -> Pixels:
    """Draw the image dark and blurred where there is no evidence."""
    hidden = _blurred(scene.image)
    drawn = np.empty_like(scene.image)
    height, width = scene.heatmap.shape
    for block in blocks((slice(0, height), slice(0, width))):
        cv2.convertScaleAbs(hidden.at(block), drawn[block], alpha=_DARK)
    for block in blocks(scene.heatmap.seen):
        mix(drawn[block], scene.image[block], shares(np.abs(scene.heatmap.at(block))))
    return drawn


STYLES: dict[Style, Callable[[Scene], Pixels]] = {
    "overlay": overlay,
    "heatmap": heatmap,
    "contour": contour,
    "mask": masked,
}


def _draw_line(image: Pixels, distance: Heatmap, width: float, colours: Pixels) -> None:
    """Draw a line and its rim on a block in place, where the distance to its middle is small."""
    height, wide = distance.shape
    rim, line = (_covered(distance, one) for one in (width + 2, width))
    red, green, blue = (int(part) for part in colours[0, 0])
    if 0.299 * red + 0.587 * green + 0.114 * blue < _DARK_LINE:
        mix(image, np.full_like(image, 255), shares(rim, _RIM))
    else:
        darken(image, shares(rim, _RIM))
    mix(image, colours[:height, :wide], shares(line))


def _distance(difference: Heatmap, slope: Heatmap) -> Heatmap:
    """Return the distance in pixels to where the difference is 0, to first order."""
    # There is no line on a plateau, even at the level itself: far + 0 / slope.
    far = np.where(slope > _PLATEAU, np.float32(0), np.float32(_FAR))
    far += np.abs(difference) / np.maximum(slope, np.float32(_PLATEAU))
    return far


def _covered(distance: Heatmap, width: float) -> Heatmap:
    """Return the share of each pixel that a line covers, from the distance to its middle."""
    return np.clip(np.float32((width + 1) / 2) - distance, 0, 1)


def _blurred(image: Pixels) -> Projection:
    """Blur an image, in a small copy: its fine detail is what the blur removes."""
    height, width = image.shape[:2]
    sigma = max(1.0, max(height, width) / 60)
    factor = max(1.0, sigma / _BLUR)
    size = max(1, round(height / factor)), max(1, round(width / factor))
    blurred = cv2.GaussianBlur(
        shrunk(image, size), (0, 0), sigma / factor, borderType=cv2.BORDER_REFLECT
    )
    return Projection.over(cast("Pixels", blurred).astype(np.float32), (height, width))
