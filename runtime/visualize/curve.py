"""OpenCV draws a line plot of numbers."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ..inputs.image_files import Pixels

_SIZE, _LEFT, _RIGHT, _TOP, _BOTTOM = (360, 640), 72, 16, 32, 44
_FONT, _SCALE = cv2.FONT_HERSHEY_SIMPLEX, 0.45
_BLACK, _GREY, _LINE = (0, 0, 0), (200, 200, 200), (190, 60, 20)
_TICKS = 5


def draw_curve(values: Sequence[float], across: str, upwards: str) -> Pixels:
    """Draw ``values`` by their index: RGB uint8 [360, 640, 3]. NaN and infinity leave a gap.

    Args:
        values: Their indices are 0, 1, 2...
        across: Name of the horizontal axis.
        upwards: Name of the vertical axis.
    """
    height, width = _SIZE
    image = np.full((height, width, 3), 255, np.uint8)
    numbers = np.asarray(values, np.float64)
    finite = numbers[np.isfinite(numbers)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 1.0)
    high = high if high > low else low + 1.0

    def column(place: float) -> int:
        share = place / max(len(numbers) - 1, 1)
        return round(_LEFT + share * (width - _LEFT - _RIGHT))

    def row(value: float) -> int:
        return round(height - _BOTTOM - (value - low) / (high - low) * (height - _TOP - _BOTTOM))

    for value in np.linspace(low, high, _TICKS):
        cv2.line(image, (_LEFT, row(value)), (width - _RIGHT, row(value)), _GREY, 1)
        _write(image, f"{value:.3g}", (4, row(value) + 5))
    for place in np.linspace(0, max(len(numbers) - 1, 1), _TICKS):
        _write(image, f"{place:.0f}", (column(place) - 10, height - _BOTTOM + 18))
    _write(image, across, (width // 2, height - 6))
    _write(image, upwards, (4, _TOP // 2))
    for place in range(1, len(numbers)):
        if np.isfinite(numbers[place - 1 : place + 1]).all():
            start, end = ((column(p), row(numbers[p])) for p in (place - 1, place))
            cv2.line(image, start, end, _LINE, 2, cv2.LINE_AA)
    return image


def _write(image: Pixels, text: str, place: tuple[int, int]) -> None:
    cv2.putText(image, text, place, _FONT, _SCALE, _BLACK, 1, cv2.LINE_AA)
