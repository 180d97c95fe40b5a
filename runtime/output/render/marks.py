"""`mark` draws the image of a map that cannot be drawn, clearly different from any heatmap."""

from __future__ import annotations

import cv2
import numpy as np

from ...inputs.image_files import Pixels
from .maps import Status
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
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY).astype(np.float32)
    pale = 130 + 0.45 * grey
    step = max(8, min(height, width) // 16)
    rows, columns = np.indices((height, width))
    pale[(rows + columns) % step < max(1, step // 8)] *= 0.82
    marked = np.repeat(np.rint(pale).astype(np.uint8)[:, :, None], 3, axis=2)
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
