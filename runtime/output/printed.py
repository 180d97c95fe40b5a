"""`print_sheet` makes a figure for print: SVG or PDF, by matplotlib.

Text and colour bars' ticks are vectors, images are rasters of 300 dots an inch. A PDF contains the
fonts that it uses; in an SVG letters are outlines, so that it looks the same everywhere.
"""

from __future__ import annotations

import importlib
import io
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import numpy as np

from ..errors import RenderError
from .render import Bar, Sheet, Tile

PRINTED = (".svg", ".pdf")
WIDTH = 7.0
"""Width of a figure in inches: that of a page's text."""
NARROWEST, WIDEST = 1.0, 40.0

_DPI = 300
_POINTS = 72  # in an inch
_TITLE, _NOTE = 8.0, 6.5  # sizes of letters, in points
_MARGIN, _GAP = 0.03, 0.1  # in inches
_TITLE_LINE, _NOTE_LINE = 0.16, 0.13
_NAMES = 0.16  # width of the names of rows
_BAR, _TICK = 0.1, 0.04
_LETTER = 0.55  # width of a letter, in sizes: an upper estimate of the mean
_LEAST_LETTER = 0.75  # share of a letter's size where room is scarce
_LEAST_SHARE = 0.35  # of the width that images get beside colour bars


def need_matplotlib() -> None:
    """Raise RenderError if matplotlib is missing, with the command to install it."""
    _imported("figure")


def print_sheet(draw: Callable[[int | None], Sheet], suffix: str, width: float = WIDTH) -> bytes:
    """Return the bytes of a figure.

    Args:
        draw: Makes the sheet, with images of a height in pixels; None: the usual height.
        suffix: ``.svg`` or ``.pdf``.
        width: Of the figure, in inches.

    Raises:
        RenderError: matplotlib is missing, the width is out of range, or as ``draw``.
    """
    if not NARROWEST <= width <= WIDEST:
        raise RenderError(f"width={width} is out of range; give {NARROWEST:g} to {WIDEST:g} inches")
    need_matplotlib()
    usual = draw(None)
    # Drawn again at the printer's resolution, in the same arrangement.
    height = max(1, round(_arranged(usual, width).height * _DPI))
    sheet = replace(draw(height), columns=usual.columns)
    return _drawn(sheet, _arranged(sheet, width), suffix)


@dataclass(frozen=True)
class _Places:
    """Where the parts of a figure stand, in inches from its top left.

    Attributes:
        size: Width and height of the figure.
        height: Height of an image.
        lefts: Left edges of the columns, then that of the first bar.
        tops: Top edges of the rows' images.
        strips: Height of each row's titles.
    """

    size: tuple[float, float]
    height: float
    lefts: list[float]
    tops: list[float]
    strips: list[float]


def _arranged(sheet: Sheet, width: float) -> _Places:
    """Scale the sheet's images so that they and the bars fill the width."""
    rows = sheet.in_rows()
    ratios = [
        max([0.1, *(_ratio(row[at]) for row in rows if at < len(row))])
        for at in range(sheet.columns)
    ]
    bars = min(sum(_bar_width(bar) + _GAP for bar in sheet.bars), (1 - _LEAST_SHARE) * width)
    names = _NAMES if sheet.rows else 0.0
    room = width - 2 * _MARGIN - bars - names - _GAP * (sheet.columns - 1)
    height = room / sum(ratios)
    lefts = [_MARGIN]
    for ratio in ratios:
        lefts.append(lefts[-1] + ratio * height + _GAP + (names if len(lefts) == 1 else 0))
    strips = [
        _TITLE_LINE * any(tile.title for tile in row) + _NOTE_LINE * any(tile.note for tile in row)
        for row in rows
    ]
    tops, below = [], _MARGIN
    for strip in strips:
        tops.append(below + strip)
        below = tops[-1] + height + _GAP
    bottom = below - _GAP + _MARGIN + (_NOTE / 2 / _POINTS if sheet.bars else 0)
    return _Places((width, bottom), height, lefts, tops, strips)


def _ratio(tile: Tile) -> float:
    return 0.0 if tile.image is None else tile.image.shape[1] / tile.image.shape[0]


def _bar_width(bar: Bar) -> float:
    longest = max(len(line) for _, text in bar.ticks for line in text.split("\n"))
    return _BAR + 2 * _TICK + longest * _LETTER * _NOTE / _POINTS


def _drawn(sheet: Sheet, places: _Places, suffix: str) -> bytes:
    matplotlib, figures = importlib.import_module("matplotlib"), _imported("figure")
    settings = {
        "font.family": "DejaVu Sans", "pdf.fonttype": 42, "svg.fonttype": "path",
        "svg.hashsalt": "graftcam", "image.composite_image": False,
    }  # fmt: skip
    dates = {"CreationDate": None} if suffix == ".pdf" else {"Date": None}
    with matplotlib.rc_context(settings):
        page = _Page(figures.Figure(figsize=places.size), places)
        for number, row in enumerate(sheet.in_rows()):
            top, strip = places.tops[number], places.strips[number]
            for at, tile in enumerate(row):
                left, right = places.lefts[at], places.lefts[at + 1] - _GAP
                page.write(tile.title, left, top - strip + 0.11, right - left, _TITLE, bold=True)
                page.write(tile.note, left, top - 0.04, right - left, _NOTE)
                if tile.image is not None:
                    page.show(tile.image, left, top, _ratio(tile) * places.height, places.height)
            if sheet.rows:
                page.write_upwards(sheet.rows[number], places.lefts[1] - _NAMES / 2, top)
        left = places.lefts[-1]
        for bar in sheet.bars:
            page.show_bar(bar, left)
            left += _bar_width(bar) + _GAP
        buffer = io.BytesIO()
        page.figure.savefig(buffer, format=suffix[1:], dpi=_DPI, metadata=dates)
    return buffer.getvalue()


class _Page:
    """A matplotlib figure, on which places are inches from its top left."""

    def __init__(self, figure: Any, places: _Places) -> None:
        self.figure = figure
        self._places = places
        _, self._high = places.size

    def show(self, image: Any, left: float, top: float, width: float, height: float) -> None:
        """Show an image, each of its pixels as it is."""
        wide, high = self._places.size
        place = (left / wide, 1 - (top + height) / high, width / wide, height / high)
        axes = self.figure.add_axes(place)
        axes.imshow(image, aspect="auto", interpolation="none")
        axes.set_axis_off()

    def write(
        self, text: str, left: float, baseline: float, room: float, size: float,
        *, bold: bool = False,
    ) -> None:  # fmt: skip
        """Write a line, cut to the room that it has, in inches."""
        if not text:
            return
        style = {"weight": "bold" if bold else "normal", "color": "#141414" if bold else "#555555"}
        wide, _ = self._places.size
        words, size = _fitted(_printable(text), room, size, bold=bold)
        self.figure.text(
            left / wide, 1 - baseline / self._high, words, size=size, ha="left", va="baseline",
            parse_math=False, **style,
        )  # fmt: skip

    def write_upwards(self, text: str, middle: float, top: float) -> None:
        """Write a row's name from bottom to top, in the middle of the row's height."""
        wide, _ = self._places.size
        words, size = _fitted(_printable(text), self._places.height, _TITLE, bold=True)
        self.figure.text(
            middle / wide, 1 - (top + self._places.height / 2) / self._high, words, size=size,
            weight="bold", color="#141414", rotation=90, ha="center", va="center",
            parse_math=False,
        )  # fmt: skip

    def show_bar(self, bar: Bar, left: float) -> None:
        """Show a colour bar with its labels, as high as an image of the first row."""
        top, height = self._places.tops[0], self._places.height
        low = -1.0 if bar.palette.signed else 0.0
        colours = bar.palette.paint(np.linspace(1, low, 256, dtype=np.float32)[:, None])
        self.show(colours, left, top, _BAR, height)
        leading = 1.25 * _NOTE / _POINTS
        taken: list[tuple[float, float]] = []
        for value, text in bar.ticks:
            lines = text.split("\n")
            tall = leading * len(lines)
            row = top + (1 - value) / (1 - low) * height
            first = row - tall / 2
            if value in (1, low):  # the labels of the ends stand beside the bar
                first = min(max(first, top - leading / 2), top + height - tall + leading / 2)
            if any(first < below and first + tall > above for above, below in taken):
                continue
            taken.append((first, first + tall))
            for number, line in enumerate(lines):
                baseline = first + leading * (number + 0.78)
                self.write(line, left + _BAR + 2 * _TICK, baseline, 99, _NOTE)
            wide, _ = self._places.size
            ends = [(left + _BAR) / wide, (left + _BAR + _TICK) / wide]
            line = importlib.import_module("matplotlib.lines").Line2D(
                ends, [1 - row / self._high] * 2, color="#555555", linewidth=0.6
            )
            self.figure.add_artist(line)


def _printable(text: str) -> str:
    """Return text in one line, with ``?`` for what the font lacks."""
    font = _font(bold=False)
    words = "".join(letter if letter.isprintable() else " " for letter in text)
    return "".join(one if font.get_char_index(ord(one)) else "?" for one in " ".join(words.split()))


def _fitted(text: str, room: float, size: float, *, bold: bool) -> tuple[str, float]:
    """Return text that fits into some inches, smaller or with dots in place of its end."""
    font = _font(bold=bold)

    def wide(words: str) -> float:
        font.set_size(size, _POINTS)
        font.set_text(words, 0.0)
        return font.get_width_height()[0] / 64 / _POINTS

    size *= min(1.0, max(_LEAST_LETTER, room / max(wide(text), 1e-9)))
    if wide(text) <= room:
        return text, size
    while text and wide(f"{text}…") > room:
        text = text[:-1].rstrip()
    return (f"{text}…" if text else ""), size


@cache
def _font(*, bold: bool) -> Any:
    """Return the metrics of the font."""
    manager = importlib.import_module("matplotlib.font_manager")
    found = manager.FontProperties(family="DejaVu Sans", weight="bold" if bold else "normal")
    return manager.get_font(manager.findfont(found))


def _imported(name: str) -> Any:
    try:
        return importlib.import_module(f"matplotlib.{name}")
    except ImportError as error:
        raise RenderError(
            'matplotlib is missing; SVG and PDF need: pip install "graftcam[figures]"'
        ) from error
