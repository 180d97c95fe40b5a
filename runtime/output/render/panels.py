"""`panel` and `draw_sheet` set images side by side, each under its title, with colour bars."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np

from ...errors import RenderError
from ...inputs.image_files import Pixels
from .bars import SIZE, Bar, draw_bar
from .sheet import Sheet, Tile
from .text import BLACK, GREY, ascii_of, shorten, text_width, write

_MARGIN, _GAP = 16, 14
_TITLE, _NOTE = 11.0, SIZE  # height of a capital, in pixels
_NAMES = 24  # width of the names of rows
_NARROWEST = 120  # smallest width of a column: narrow images need room for a title, too
_LONGEST = 32_766  # pixels of a side: OpenCV's filters count them in 16 bits


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
    given = notes or [""] * len(images)
    tiles = [Tile(*parts) for parts in zip(images, titles, given, strict=True)]
    return draw_sheet(Sheet(tiles, height, min(columns or len(tiles), len(tiles)), bars))


def draw_sheet(sheet: Sheet) -> Pixels:
    """Draw a sheet on white: RGB uint8.

    Raises:
        RenderError: An image becomes too large.
    """
    height, rows = sheet.height, sheet.in_rows()
    scaled = [
        [None if tile.image is None else resized(tile.image, height) for tile in row]
        for row in rows
    ]
    widths = [_NARROWEST] * sheet.columns
    for images in scaled:
        taken = [0 if image is None else image.shape[1] for image in images]
        widths[: len(taken)] = np.maximum(widths[: len(taken)], taken)
    named = _NAMES if sheet.rows else 0
    lefts = _MARGIN + np.cumsum([0, *(width + _GAP for width in widths)])
    lefts[1:] += named
    strips = [_strip(row) for row in rows]
    tops = _MARGIN + np.cumsum([0, *(strip + height + _GAP for strip in strips)])
    drawn = [draw_bar(bar, height) for bar in sheet.bars]
    wide = int(lefts[-1]) - _GAP + _MARGIN + sum(bar.shape[1] + _GAP for bar in drawn)
    canvas = np.full((int(tops[-1]) - _GAP + _MARGIN, wide, 3), 255, np.uint8)
    for number, (row, images, strip) in enumerate(zip(rows, scaled, strips, strict=True)):
        above = int(tops[number])
        top = above + strip
        for at, (tile, image) in enumerate(zip(row, images, strict=True)):
            left = int(lefts[at])
            _captions(canvas, left, above, widths[at], tile)
            if image is not None:
                canvas[top : top + height, left : left + image.shape[1]] = image
        if sheet.rows:
            _upwards(canvas, sheet.rows[number], int(lefts[1]) - _NAMES, top, height)
    left = int(lefts[-1])
    for bar in drawn:
        top = _MARGIN + strips[0] - (bar.shape[0] - height) // 2
        canvas[top : top + bar.shape[0], left : left + bar.shape[1]] = bar
        left += bar.shape[1] + _GAP
    return canvas


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


def _strip(row: Sequence[Tile]) -> int:
    """Return the height of a row's titles and notes."""
    return 26 * any(tile.title for tile in row) + 18 * any(tile.note for tile in row)


def _captions(canvas: Pixels, left: int, top: int, room: int, tile: Tile) -> None:
    """Write an image's title and note, shrunk a little or cut to the column's width."""
    for text, size, baseline, colour in (
        (tile.title, _TITLE, top + 15, BLACK),
        (tile.note, _NOTE, top + 34, GREY),
    ):
        words = ascii_of(text)
        size *= min(1.0, max(0.8, room / max(text_width(words, size), 1)))
        write(canvas, shorten(words, room, size), left, baseline, size, colour)


def _upwards(canvas: Pixels, text: str, left: int, top: int, room: int) -> None:
    """Write a row's name from bottom to top, in the middle of the row."""
    words = shorten(ascii_of(text), room, _TITLE)
    line = np.full((_NAMES, room, 3), 255, np.uint8)
    write(line, words, (room - text_width(words, _TITLE)) // 2, 15, _TITLE, BLACK)
    canvas[top : top + room, left : left + _NAMES] = np.rot90(line)
