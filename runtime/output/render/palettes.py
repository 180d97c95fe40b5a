"""A `Palette` converts values to colours: OpenCV's colour maps, and a diverging one."""

from __future__ import annotations

from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from ...errors import RenderError
from ...inputs.image_files import Pixels
from .maps import Heatmap

DIVERGING = "diverging"

COLORMAPS: dict[str, int] = {
    name.removeprefix("COLORMAP_").lower(): getattr(cv2, name)
    for name in dir(cv2)
    if name.startswith("COLORMAP_")
}

# Blue to orange-red through near white, from the middle outwards. These hues differ with red-green
# blindness too, and both ends have the same lightness, so that neither sign looks stronger.
_MIDDLE = 128
_AGAINST = ((246, 246, 246), (146, 190, 225), (42, 120, 190), (8, 52, 110))
_FOR = ((246, 246, 246), (250, 178, 130), (214, 84, 30), (122, 30, 8))


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


def palette(colormap: str | None = None, signed: bool = False) -> Palette:
    """Return the palette with the name ``colormap``; None: jet, for signed values ``diverging``.

    Raises:
        RenderError: There is no such colormap.
    """
    name = colormap or (DIVERGING if signed else "jet")
    if name == DIVERGING:
        return Palette(_diverging(), signed)
    if name not in COLORMAPS:
        raise RenderError(
            f"unknown colormap '{name}'; choose from {', '.join([*COLORMAPS, DIVERGING])}"
        )
    levels = np.arange(256, dtype=np.uint8)[None]
    coloured = cv2.cvtColor(cv2.applyColorMap(levels, COLORMAPS[name]), cv2.COLOR_BGR2RGB)
    return Palette(cast("Pixels", coloured)[0], signed)


def _diverging() -> Pixels:
    values = (np.arange(256) - _MIDDLE) / 127.0
    steps = np.linspace(0, 1, len(_FOR))
    sides = [
        np.stack([np.interp(np.abs(values), steps, band) for band in np.array(side).T], axis=1)
        for side in (_AGAINST, _FOR)
    ]
    return np.rint(np.where(values[:, None] < 0, *sides)).astype(np.uint8)
