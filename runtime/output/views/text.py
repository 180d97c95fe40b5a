"""A `TextView` shows tokens in colour: as an image, as HTML, and in a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from textwrap import wrap
from typing import Any

import numpy as np

from ...inputs.image_files import Pixels
from ...plain_text import plain
from ..render import Heatmap, Look, resample, tinted
from ..render.palettes import Palette
from ..render.text import BLACK, ascii_of, shorten, text_width, write
from .view import Drawing, View

_WIDTH, _MARGIN, _LINE, _SIZE = 900, 16, 30, 11.0
_PAD, _GAP = 4, 4  # beside a word, and between words, in pixels
_FAINT = 205  # grey level of a word without evidence
_TERMINAL = 100  # columns of a line of numbers
_SPACES = "\u0120\u2581"  # how byte-pair and sentence-piece tokens spell the space before them


class TextView(View):
    """A sequence of tokens, whose maps have one value for each.

    Attributes:
        texts: The tokens as text.
    """

    white = True

    def __init__(self, texts: Sequence[str], prefix: int = 0, count: int | None = None) -> None:
        """Show a text.

        Args:
            texts: One for each position that is shown.
            prefix: Positions at the start that the maps leave out; their values are 0.
            count: Number of positions of the sequence, padding included; None: those of ``texts``.
        """
        self.texts = [text.lstrip(_SPACES) or text for text in texts]
        self._prefix, self._count = prefix, len(texts) if count is None else count
        self.shape = (len(texts),)

    def draw_alone(self) -> Pixels:
        """Draw the words in black on white."""
        return self._draw(None, None)

    def draw_own(self, drawing: Drawing) -> Pixels:
        """Draw the words as the style says.

        ``overlay``: on grounds of colour; ``heatmap``: the grounds alone; ``contour``: each word
        over a bar as long as its value; ``mask``: words that fade without evidence.
        """
        return self._draw(self.project(drawing.values), drawing)

    def project(self, values: Heatmap) -> Heatmap:
        """Return a value for each token; sequences that the model shortened are interpolated."""
        start = 0 if len(values) == self._count else self._prefix
        whole = np.zeros(self._count, np.float32)
        whole[start:] = resample(values, [self._count - start])
        return whole[: len(self.texts)]

    def summary(self) -> dict[str, Any]:
        """Return the shape and the tokens."""
        return {**super().summary(), "tokens": self.texts}

    def coloured(self, values: Heatmap, palette: Palette, look: Look) -> str:
        """Return the tokens for a terminal that shows colours."""
        words = zip(self.texts, _grounds(values, palette, look), strict=True)
        return " ".join(
            f"\x1b[48;2;{red};{green};{blue}m\x1b[38;2;20;20;20m{_printable(text)}\x1b[0m"
            for text, (red, green, blue) in words
        )

    def numbered(self, values: Heatmap) -> str:
        """Return the tokens with their values as lines of plain text."""
        words = zip(self.texts, values, strict=True)
        # A word and its number stay on one line.
        parts = [f"{_printable(text)}\xa0{value:.2f}" for text, value in words]
        lines = wrap("  ".join(parts), _TERMINAL, break_long_words=False, break_on_hyphens=False)
        return "\n".join(lines).replace("\xa0", " ")

    def html(self, values: Heatmap, palette: Palette, look: Look) -> str:
        """Return the tokens as HTML, each with its value as a tool tip."""
        words = zip(self.texts, values, _grounds(values, palette, look), strict=True)
        spans = [
            f'<span title="{value:.3f}" style="background:rgb({red},{green},{blue});color:#141414;'
            f'padding:1px 3px;border-radius:3px">{escape(plain(text))}</span>'
            for text, value, (red, green, blue) in words
        ]
        return f'<p style="line-height:1.9;max-width:60em;margin:4px 0">{" ".join(spans)}</p>'

    def _draw(self, values: Heatmap | None, drawing: Drawing | None) -> Pixels:
        room = _WIDTH - 2 * _MARGIN - 2 * _PAD
        words = [shorten(ascii_of(text), room, _SIZE) for text in self.texts]
        places: list[tuple[int, int, int]] = []
        left, line = _MARGIN, 0
        for word in words:
            width = text_width(word, _SIZE) + 2 * _PAD
            if left > _MARGIN and left + width > _WIDTH - _MARGIN:
                left, line = _MARGIN, line + 1
            places.append((left, line, width))
            left += width + _GAP
        canvas = np.full(((line + 1) * _LINE + 2 * _MARGIN, _WIDTH, 3), 255, np.uint8)
        if values is None or drawing is None:
            for word, (left, line, _) in zip(words, places, strict=True):
                write(canvas, word, left + _PAD, _MARGIN + line * _LINE + 19, _SIZE, BLACK)
            return canvas
        style = drawing.look.style
        colours = drawing.palette.paint(values)
        grounds = _grounds(values, drawing.palette, drawing.look)
        for at, (left, line, width) in enumerate(places):
            top, strength = _MARGIN + line * _LINE, float(abs(values[at]))
            if style in ("overlay", "heatmap"):
                canvas[top + 2 : top + _LINE - 3, left : left + width] = grounds[at]
            if style == "contour":
                canvas[top + 24 : top + 28, left : left + round(strength * width)] = colours[at]
            grey = round(_FAINT * (1 - strength)) if style == "mask" else 0
            if style != "heatmap":
                ink = (max(BLACK[0], grey), max(BLACK[1], grey), max(BLACK[2], grey))
                write(canvas, words[at], left + _PAD, top + 19, _SIZE, ink)
        return canvas


def _grounds(values: Heatmap, palette: Palette, look: Look) -> Pixels:
    """Return the colour behind each word, uint8 [T, 3]: white where the value is 0."""
    return tinted(np.full((1, len(values), 3), 255, np.uint8), values, palette, look)[0]


def _printable(text: str) -> str:
    """Return a token without characters that would control a terminal."""
    return "".join(one if one.isprintable() else "?" for one in text)
