"""`draw` draws the map of one class."""

from __future__ import annotations

from dataclasses import replace

from ..inputs.image_files import Pixels
from .explanation_data import ExplanationData
from .render import (
    STYLES,
    Look,
    LookOptions,
    Scene,
    continued,
    mark,
    normalise,
    palette,
    resized,
    seen,
)


def draw(data: ExplanationData, position: int, height: int | None, look: LookOptions) -> Pixels:
    """Draw the map of the class at ``position``; see `Explanation.draw`."""
    chosen = Look(**look)
    image = data.image if height is None else resized(data.image, height)
    colours = palette(chosen.colormap, data.signed)
    if data.status[position] != "ok":
        return mark(image, data.status[position])
    placement = replace(data.placement, image=(image.shape[0], image.shape[1]))
    scale = data.peak if chosen.scale == "shared" else None
    heatmap = continued(normalise(data.maps[position], data.signed, scale), placement)
    scene = Scene(image, heatmap, seen(placement), colours, chosen.alpha)
    return STYLES[chosen.style](scene)
