"""`mark` draws the image of a map that cannot be drawn, clearly different from any heatmap."""

from __future__ import annotations

import cv2
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from ...inputs.image_files import Pixels
from .maps import Status
from .projection import blocks
from .text import WHITE, text_width, wrap, write

CAPTIONS: dict[Status, str] = {
    "zero": "no evidence found",
    "constant": "same everywhere",
    "nonfinite": "map is not finite",
}

_SMALLEST, _LARGEST = 6.0, 26.0  # height of a capital, in pixels


def mark(image: Pixels, status: Status) -> Pixels:
    """Draw the image in pale grey, hatched, under a band with the reason."""
    height, width = image.shape[:2]
    marked = np.empty_like(image)
    levels = np.arange(256, dtype=np.float32)
    pale = 130 + 0.45 * levels
    between, stripe = (np.rint(one).astype(np.uint8) for one in (pale, pale * np.float32(0.82)))
    step = max(8, min(height, width) // 16)
    # A pixel's row plus its column decides: a row is the one above, moved by a pixel.
    striped = np.arange(height + width) % step < max(1, step // 8)
    for rows, columns in blocks((slice(0, height), slice(0, width))):
        grey = cv2.cvtColor(image[rows, columns], cv2.COLOR_RGB2GRAY)
        lines = sliding_window_view(striped, columns.stop - columns.start)
        hatched = lines[columns.start + rows.start : columns.start + rows.stop]
        shade = np.where(hatched, cv2.LUT(grey, stripe), cv2.LUT(grey, between))
        marked[rows, columns] = cv2.cvtColor(shade, cv2.COLOR_GRAY2RGB)
    size = float(np.clip(min(height, width) / 18, _SMALLEST, _LARGEST))
    _band(marked, wrap(CAPTIONS[status], width - round(size), size), size)
    return marked


def _band(image: Pixels, lines: list[str], size: float) -> None:
    """Draw a dark band across the middle with centred lines of text."""
    height, width = image.shape[:2]
    leading = round(1.8 * size)
    tall = leading * len(lines) + round(size)
    top = max((height - tall) // 2, 0)
    image[top : top + tall] = (45, 45, 45)
    for number, line in enumerate(lines):
        # An image narrower than a word gets smaller letters.
        shrunk = size * min(1.0, (width - 4) / max(text_width(line, size), 1))
        if shrunk < 1:
            continue
        left = (width - text_width(line, shrunk)) // 2
        write(image, line, left, top + round(1.9 * size) + leading * number, shrunk, WHITE)
