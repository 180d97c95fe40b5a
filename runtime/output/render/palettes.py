"""A `Palette` converts values to colours: OpenCV's colour maps, ``diverging`` and ``reds``."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ...errors import RenderError
from ...inputs.image_files import Pixels
from .maps import Heatmap

DIVERGING, REDS = "diverging", "reds"
DEFAULT = "inferno"
"""The colour map of unsigned maps over images: its steps look equal, also without colour vision."""

COLORMAPS: dict[str, int] = {
    name.removeprefix("COLORMAP_").lower(): getattr(cv2, name)
    for name in dir(cv2)
    if name.startswith("COLORMAP_")
}

# Blue to red through near white, from the middle outwards. These hues differ with red-green
# blindness too, and both sides have the same lightness, so that neither sign looks stronger. The
# ends are bright enough to be seen over a dark part of an image.
_MIDDLE = 128
_KNOTS = (0.0, 0.25, 0.6, 1.0)
_AGAINST = ((246, 246, 246), (150, 195, 240), (50, 130, 230), (10, 70, 190))
_FOR = ((246, 246, 246), (250, 165, 150), (238, 80, 65), (185, 10, 25))


@dataclass(frozen=True, eq=False)
class Palette:
    """The colours of a scale.

    Attributes:
        colours: RGB uint8 [256, 3] for values from 0 to 1; if signed, from -1 to 1 with 0 at entry
            128.
        signed: Whether the values begin at -1.
    """

    colours: Pixels
    signed: bool

    def paint(self, heatmap: Heatmap) -> Pixels:
        """Colour a heatmap [..., W]: RGB uint8 [..., W, 3]."""
        if not heatmap.size:
            return np.empty((*heatmap.shape, 3), np.uint8)
        scale, zero = (127, _MIDDLE) if self.signed else (255, 0)
        lines = heatmap.reshape(-1, heatmap.shape[-1])
        levels = cv2.convertScaleAbs(lines, alpha=scale, beta=zero)
        painted = cv2.applyColorMap(levels, self.colours[:, None])
        return cast("Pixels", painted).reshape(*heatmap.shape, 3)


def palette(colormap: str | None = None, signed: bool = False, white: bool = False) -> Palette:
    """Return the palette with a name.

    Args:
        colormap: The name; None: inferno, on white ground ``reds``, for signed values
            ``diverging``.
        signed: Whether values begin at -1.
        white: Whether the colours lie on white ground, on which the light end of inferno vanishes.

    Raises:
        RenderError: There is no such colormap.
    """
    name = colormap or (DIVERGING if signed else REDS if white else DEFAULT)
    if name in (DIVERGING, REDS):
        values = (np.arange(256) - _MIDDLE) / 127.0 if name == DIVERGING else np.arange(256) / 255.0
        return Palette(_around_white(values), signed)
    if name not in COLORMAPS:
        raise RenderError(
            f"unknown colormap '{name}'; choose from {', '.join([*COLORMAPS, DIVERGING, REDS])}"
        )
    levels = np.arange(256, dtype=np.uint8)[None]
    coloured = cv2.cvtColor(cv2.applyColorMap(levels, COLORMAPS[name]), cv2.COLOR_BGR2RGB)
    return Palette(cast("Pixels", coloured)[0], signed)


def _around_white(values: NDArray[np.float64]) -> Pixels:
    """Return the colours [L, 3] of values in [-1, 1]: red for positive, blue for negative ones."""
    sides = [
        np.stack([np.interp(np.abs(values), _KNOTS, band) for band in np.array(side).T], axis=1)
        for side in (_AGAINST, _FOR)
    ]
    return np.rint(np.where(values[:, None] < 0, *sides)).astype(np.uint8)
