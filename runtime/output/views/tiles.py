"""`sheet` sets small pictures, each under its title, in rows on white ground."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from ...inputs.image_files import Pixels
from ..render.text import GREY, shorten, write

_GAP, _STRIP = 8, 18
_SIZE = 8.5  # height of a capital


def sheet(rows: Sequence[Sequence[tuple[str, Pixels]]]) -> Pixels:
    """Set pictures with titles in rows; pictures may differ in size.

    Args:
        rows: Title and picture, RGB uint8 [H, W, 3], of each place.
    """
    heights = [_STRIP + max(image.shape[0] for _, image in row) for row in rows]
    widths = [sum(image.shape[1] + _GAP for _, image in row) for row in rows]
    height = sum(heights) + _GAP * (len(rows) + 1)
    canvas = np.full((height, max(widths) + _GAP, 3), 255, np.uint8)
    top = _GAP
    for row, tall in zip(rows, heights, strict=True):
        left = _GAP
        for title, image in row:
            write(canvas, shorten(title, image.shape[1], _SIZE), left, top + 11, _SIZE, GREY)
            below, right = top + _STRIP + image.shape[0], left + image.shape[1]
            canvas[top + _STRIP : below, left:right] = image
            left = right + _GAP
        top += tall + _GAP
    return canvas


def in_rows(
    pictures: Sequence[tuple[str, Pixels]], columns: int
) -> list[Sequence[tuple[str, Pixels]]]:
    """Cut a list of pictures into rows of ``columns``."""
    return [pictures[start : start + columns] for start in range(0, len(pictures), columns)]
