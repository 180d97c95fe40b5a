"""`panel` sets images side by side, each under its title, with colour bars."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ...errors import RenderError
from ...inputs.image_files import Pixels
from .palettes import Palette
from .text import BLACK, GREY, ascii_of, shorten, text_width, write

_MARGIN, _GAP = 16, 14
_TITLE, _NOTE = 11.0, 8.5  # height of a capital, in pixels
_NARROWEST = 120  # smallest width of a column: narrow images need room for a title, too
_BAR = 14
_LONGEST = 32_766  # pixels of a side: OpenCV's filters count them in 16 bits


@dataclass(frozen=True)
class Bar:
    """A colour bar.

    Attributes:
        palette: Its colours.
        ticks: Values of the heatmap with their labels.
    """

    palette: Palette
    ticks: tuple[tuple[float, str], ...]


def panel(
    images: Sequence[Pixels | None],
    titles: Sequence[str],
    height: int = 320,
    notes: Sequence[str] = (),
    columns: int | None = None,
    bars: Sequence[Bar] = (),
) -> Pixels:
    """Set images side by side at one height, each under its title (drawn in ASCII).

    Args:
        images: RGB uint8 [H, W, 3] each, row by row; None: an empty place.
        titles: One for each image.
        height: Height of an image in pixels.
        notes: A second, smaller line for each image; empty: no such line.
        columns: Number of images in a row; None: all.
        bars: Colour bars, at the right end of the first row.

    Raises:
        RenderError: There are no images, or the number of titles or notes differs.
    """
    if not images or len(images) != len(titles) or len(notes) not in (0, len(images)):
        raise RenderError(
            f"{len(images)} images, {len(titles)} titles and {len(notes)} notes; "
            "give one title, and one note or none at all, for each"
        )
    scaled = [None if image is None else resized(image, height) for image in images]
    columns = min(columns or len(scaled), len(scaled))
    widths = [
        max([_NARROWEST, *(p.shape[1] for p in scaled[column::columns] if p is not None)])
        for column in range(columns)
    ]
    strip = 26 + (18 if notes else 0)
    rows = -(-len(scaled) // columns)
    lefts = _MARGIN + np.cumsum([0, *(width + _GAP for width in widths)])
    drawn = [_bar(bar, height) for bar in bars]
    wide = int(lefts[-1]) - _GAP + _MARGIN + sum(bar.shape[1] + _GAP for bar in drawn)
    sheet = np.full((rows * (strip + height) + (rows - 1) * _GAP + 2 * _MARGIN, wide, 3), 255)
    sheet = sheet.astype(np.uint8)
    for number, image in enumerate(scaled):
        row, column = divmod(number, columns)
        left, top = int(lefts[column]), _MARGIN + row * (strip + height + _GAP)
        _captions(sheet, left, top, widths[column], titles[number], notes[number] if notes else "")
        if image is not None:
            sheet[top + strip : top + strip + height, left : left + image.shape[1]] = image
    left = int(lefts[-1])
    for bar in drawn:
        above = (bar.shape[0] - height) // 2
        top = _MARGIN + strip - above
        sheet[top : top + bar.shape[0], left : left + bar.shape[1]] = bar
        left += bar.shape[1] + _GAP
    return sheet


def resized(image: Pixels, height: int) -> Pixels:
    """Resize an image to another height, with the same aspect ratio.

    Raises:
        RenderError: The height is below 1, or a side becomes too long for OpenCV.
    """
    if image.shape[0] == height:
        return image
    width = max(1, round(image.shape[1] * height / image.shape[0]))
    if height < 1 or max(width, height) > _LONGEST:
        raise RenderError(
            f"an image of {image.shape[1]} x {image.shape[0]} pixels cannot be drawn at {width} x "
            f"{height}; give a height from 1 on, with which no side exceeds {_LONGEST} pixels"
        )
    filtering = cv2.INTER_AREA if height < image.shape[0] else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(image, (width, height), interpolation=filtering), np.uint8)


def _captions(sheet: Pixels, left: int, top: int, room: int, title: str, note: str) -> None:
    """Write an image's title and note, shrunk a little or cut to the column's width."""
    for text, size, baseline, colour in (
        (title, _TITLE, top + 15, BLACK),
        (note, _NOTE, top + 34, GREY),
    ):
        words = ascii_of(text)
        size *= min(1.0, max(0.8, room / max(text_width(words, size), 1)))
        write(sheet, shorten(words, room, size), left, baseline, size, colour)


def _bar(bar: Bar, height: int) -> Pixels:
    """Draw a colour bar of this height, with labels to the right and a small margin."""
    above = round(_NOTE)
    labels = [(value, ascii_of(text)) for value, text in bar.ticks]
    room = max(text_width(text, _NOTE) for _, text in labels)
    canvas = np.full((height + 2 * above, _BAR + 10 + room + 2, 3), 255, np.uint8)
    low = -1 if bar.palette.signed else 0
    values = np.linspace(1, low, height, dtype=np.float32)
    canvas[above : above + height, :_BAR] = bar.palette.paint(values[:, None])
    for value, text in labels:
        row = above + round((1 - value) / (1 - low) * (height - 1))
        canvas[row, _BAR : _BAR + 4] = GREY
        write(canvas, text, _BAR + 8, row + round(_NOTE / 2), _NOTE, GREY)
    return canvas
