"""`draw_frame` draws one frame's explanation for a video: always at one size, with few words."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..inputs.image_files import Pixels
from .box_explanation import BoxExplanation
from .explanation import Explanation
from .render import LookOptions, map_status, resized
from .render.boxes import Label, class_colour, draw_boxes
from .render.text import WHITE, ascii_of, shorten, text_width, write

_LOWEST = 240  # pixels: lower frames have no room for words
_GROUND = 0.35  # of the pixels below a caption
_CAPITAL = 26  # a caption's capitals are this part of the frame's height


def draw_frame(found: Explanation, look: LookOptions, *, beside: bool = False) -> Pixels:
    """Draw the maps of one frame: RGB uint8, of the frame's height.

    A classifier's classes stand side by side, each with its name. Of a detector there is one
    drawing: the boxes, and the maximum of their maps, each relative to its own.

    Args:
        found: The explanation.
        look: As for `Explanation.draw`.
        beside: Whether the frame itself stands beside them.
    """
    height = max(found.image.shape[0], _LOWEST)
    drawn = [found.view.plain(height)] if beside else []
    if isinstance(found, BoxExplanation):
        return np.hstack([*drawn, resized(_draw_boxes(found, look), height)])
    drawn += [
        captioned(found.draw(position, height, **look), _caption(found, position))
        for position in range(len(found))
    ]
    return np.hstack(drawn) if drawn else found.view.plain(height)


def captioned(image: Pixels, text: str) -> Pixels:
    """Return an image with a line of text on dark ground at its lower left."""
    text = ascii_of(text)
    height, width = image.shape[:2]
    size = float(np.clip(height / _CAPITAL, 7, 22))
    pad = max(3, round(size / 2))
    text = shorten(text, width - 2 * pad, size)
    if not text:
        return image
    drawn = image.copy()
    top = max(0, height - round(size) - 2 * pad)
    ground = drawn[top:, : min(width, text_width(text, size) + 2 * pad)]
    ground[:] = np.rint(ground * _GROUND)
    write(drawn, text, pad, height - pad, size, WHITE)
    return drawn


class Smoother:
    """Averages each class's map with those of the frames before it, so that maps do not flicker.

    A class that the frame before did not explain starts anew.
    """

    def __init__(self, share: float) -> None:
        """Prepare for one video.

        Args:
            share: Weight of the maps before, from 0 (none) to less than 1.
        """
        self._share = share
        self._before: dict[int, NDArray[np.float32]] = {}

    def __call__(self, found: Explanation) -> Explanation:
        """Return the explanation with averaged maps."""
        if not self._share:
            return found
        pairs = zip(found.classes, found.maps, strict=True)
        maps = np.stack([self._mixed(one, raw) for one, raw in pairs])
        self._before = dict(zip(found.classes, maps, strict=True))
        changed: Any = {"maps": maps, "status": _states(found, maps)}
        return replace(found, **changed)

    def _mixed(self, class_id: int, raw: NDArray[np.float32]) -> NDArray[np.float32]:
        before = self._before.get(class_id)
        if before is None or before.shape != raw.shape or not np.isfinite(raw).all():
            return raw
        return (self._share * before + (1 - self._share) * raw).astype(np.float32)


def _states(found: Explanation, maps: NDArray[np.float32]) -> list[Any]:
    return [map_status(raw, found.signed) for raw in maps]


def _caption(found: Explanation, position: int) -> str:
    share = found.probability(position)
    number = f"{found.scores[position]:.2f}" if share is None else f"p = {share:.2f}"
    return f"{found.labels[position]}  {number}"


def _draw_boxes(found: BoxExplanation, look: LookOptions) -> Pixels:
    drawn = found.view.plain()
    if len(found.classes):
        peaks = np.abs(found.maps).max(axis=tuple(range(1, found.maps.ndim)), keepdims=True)
        relative = (found.maps / np.where(peaks > 0, peaks, 1)).astype(np.float32)
        strongest = np.abs(relative).argmax(axis=0)
        values = np.take_along_axis(relative, strongest[None], axis=0)
        whole: Any = {"maps": values, "status": _states(found, values)}
        names = ("classes", "labels", "scores", "explained", "whys", "shares")
        one = {name: getattr(found, name)[:1] for name in names}
        # Drawn as an explanation of classes, which outlines no box.
        drawn = Explanation.draw_class(replace(found, **whole, **one), 0, None, look)
    labels = [
        Label(box.box, f"{box.name} {box.probability}", str(box.number), class_colour(box.class_id))
        for box in found.detections
    ]
    return draw_boxes(drawn, labels)
