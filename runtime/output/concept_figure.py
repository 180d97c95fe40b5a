"""`concept_sheet` draws the concepts of an image, each in its colour."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from ..inputs.image_files import Pixels
from ..inputs.preprocess import Placement
from .render import Look, Projection, panel
from .render.boxes import class_colour
from .render.palettes import Palette
from .views import Drawing, View

_COLUMNS = 4
_OPACITY = 0.85  # where a concept is strongest


def concept_sheet(
    view: View, name: str, maps: NDArray[np.float32], shares: Sequence[float],
    notes: Sequence[str], height: int,
) -> Pixels:  # fmt: skip
    """Set the image, its places by their strongest concept, and each concept in rows.

    Args:
        view: The image.
        name: Its name.
        maps: Strengths from 0 to 1, float32 [concepts, *cells].
        shares: The part that each concept is of the sum of all.
        notes: What to say of each.
        height: Height of each drawing in pixels.
    """
    plain = view.plain(height)
    tiles: list[tuple[Pixels, str, str]] = [(plain, name, "")]
    if len(view.shape) == 2:
        tiles.append((_coloured(plain, view, maps), "strongest concept", "at each place"))
    for number, (strength, share, note) in enumerate(zip(maps, shares, notes, strict=True)):
        colours = np.tile(np.array(class_colour(number), np.uint8), (256, 1))
        look = Look(alpha=_OPACITY)
        drawn = view.draw(Drawing(strength, Palette(colours, signed=False), look, height))
        tiles.append((drawn, f"concept {number + 1} ({share:.0%})", note))
    images, titles, below = zip(*tiles, strict=True)
    columns = 1 if view.own_row else min(_COLUMNS, len(tiles))
    return panel(images, titles, height, below, columns)


def _coloured(plain: Pixels, view: View, maps: NDArray[np.float32]) -> Pixels:
    """Colour each place of an image by its strongest concept, the stronger the less shines through.

    What the model did not see stays as it is.
    """
    size = (plain.shape[0], plain.shape[1])
    whole = Placement(size, size, (0, 0), size)
    placement = whole if view.placement is None else replace(view.placement, image=size)
    laid = Projection(np.ascontiguousarray(np.moveaxis(maps, 0, -1)), placement)
    strengths = laid.at(laid.seen).clip(0, 1)
    strongest = strengths.argmax(axis=-1)
    colours = np.array([class_colour(number) for number in range(len(maps))], np.float32)
    share = _OPACITY * strengths.max(axis=-1)[..., None]
    drawn = plain.copy()
    part = drawn[laid.seen]
    drawn[laid.seen] = np.rint(part + share * (colours[strongest] - part)).astype(np.uint8)
    return drawn
