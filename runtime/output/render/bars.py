"""A `Bar` is a colour bar: it says what the colours of a map mean, in words and raw values."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ...inputs.image_files import Pixels
from .look import Look
from .palettes import Palette
from .styles import LEVELS
from .text import GREY, ascii_of, text_width, write

SIZE = 8.5  # height of a capital, in pixels
_LEADING = 14  # from one line of a label to the next
_WIDE, _TICK, _GAP = 14, 4, 14
_SMALLEST = 96  # height of a bar that can be read, in pixels


@dataclass(frozen=True)
class Bar:
    """A colour bar.

    Attributes:
        palette: Its colours.
        ticks: Values of the heatmap with their labels of one or more lines.
    """

    palette: Palette
    ticks: tuple[tuple[float, str], ...]


def scale_bar(
    palette: Palette, look: Look, signed: bool, full: float | None, percentile: float
) -> Bar | None:
    """Return the bar of a map, or of several maps; None where the style has no colours.

    Args:
        palette: The colours.
        look: How the maps are drawn.
        signed: Whether negative values are evidence against the class.
        full: The raw value with full colour; None: each map has its own.
        percentile: The percentile of a map's evidence that it is.
    """
    if look.style == "mask":
        return None
    cut = " or more" if percentile < 100 else ""
    of = "of each map" if full is None else f"raw {full:.2g}{cut}"
    against = "of each map" if full is None else f"raw {-full:.2g}{' or less' if cut else ''}"
    ends = [(1.0, f"most evidence for\n{of}"), (-1.0, f"most evidence against\n{against}")]
    ticks = [(0.0, "no evidence"), *(ends if signed else [(1.0, f"most evidence\n{of}")])]
    if look.style == "contour":
        levels = [*LEVELS, *(-level for level in LEVELS)] if signed else LEVELS
        ticks += [(level, f"line at {level:.0%}") for level in levels]
    return Bar(palette, tuple(ticks))


def draw_bar(bar: Bar, height: int) -> Pixels:
    """Draw a bar of this height, with labels to its right and a margin above and below.

    Of labels that would touch, the first ones are drawn.
    """
    above = round(SIZE)
    low = -1 if bar.palette.signed else 0
    places: list[tuple[int, int, list[str]]] = []
    for value, text in bar.ticks:
        row = above + round((1 - value) / (1 - low) * (height - 1))
        lines = [ascii_of(line) for line in text.split("\n")]
        places += _placed(row, lines, places, height, value in (1, low))
    room = max((text_width(line, SIZE) for *_, lines in places for line in lines), default=0)
    left = _WIDE + _TICK + _TICK
    canvas = np.full((height + 2 * above, left + room + 2, 3), 255, np.uint8)
    values = np.linspace(1, low, height, dtype=np.float32)
    canvas[above : above + height, :_WIDE] = bar.palette.paint(values[:, None])
    for row, first, lines in places:
        canvas[row, _WIDE : _WIDE + _TICK] = GREY
        for number, line in enumerate(lines):
            write(canvas, line, left, first + number * _LEADING, SIZE, GREY)
    return canvas


def beside(image: Pixels, bar: Bar | None) -> Pixels:
    """Return an image with a colour bar to its right, on white."""
    if bar is None:
        return image
    height, width = max(len(image), _SMALLEST), image.shape[1]
    drawn = draw_bar(bar, height - 2 * round(SIZE))
    canvas = np.full((height, width + _GAP + drawn.shape[1], 3), 255, np.uint8)
    canvas[: len(image), :width] = image
    canvas[:, width + _GAP :] = drawn
    return canvas


def _placed(
    row: int, lines: Sequence[str], others: Sequence[tuple[int, int, list[str]]], height: int,
    at_an_end: bool,
) -> list[tuple[int, int, list[str]]]:  # fmt: skip
    """Return the tick's row, the baseline of its first line, and the lines for which there is room.

    The labels of the ends stand inside, beside the bar.
    """
    capital, above = round(SIZE), round(SIZE)
    for count in range(len(lines), 0, -1):
        tall = (count - 1) * _LEADING
        first = row + capital // 2
        if at_an_end:
            first -= tall if row > above + height // 2 else 0
        else:
            first -= tall // 2
        span = first - capital - 2, first + tall + 4
        taken = [(one - capital - 2, one + (len(own) - 1) * _LEADING + 4) for _, one, own in others]
        if all(span[1] <= top or span[0] >= bottom for top, bottom in taken):
            return [(row, first, list(lines[:count]))]
    return []
