"""The images that detectors look at: an astronaut, near and far, once and twice, a cat, and a page.

The photographs are scikit-image's, in the public domain (astronaut) or CC0 (cat). The page is drawn
here, so that no document of anybody else is needed.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, TypeAlias

import cv2
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..field.inputs import PICTURES

_FACE = (0, 290, 60, 400)  # of the astronaut: top, bottom, left and right
_INK, _GREY = (25, 25, 25), (70, 70, 70)
_PAGE = (1216, 1600)  # width and height
_COLUMNS, _WIDTH = (90, 626), 500
_LEADING = 1.42
_TEXT = (
    "A detector gives many boxes for one picture. Each of them has a score of its own, and this "
    "score is a number with a gradient. The gradient says which places of a layer raise the score, "
    "and which lower it. Two boxes have two gradients, so that each box has a map of its own. The "
    "same holds for its edges: an edge is a number of pixels, and what moves it can be seen. "
)
_ROWS = (
    ("Animal", "Ears", "Tail", "Weight"), ("cat", "2", "long", "4 kg"),
    ("hare", "2", "short", "3 kg"), ("owl", "none seen", "short", "1 kg"),
    ("hedgehog", "2", "short", "1 kg"),
)  # fmt: skip

Drawing: TypeAlias = ImageDraw.ImageDraw


def write_images(folder: Path, cache: Path) -> dict[str, Path]:
    """Write the images into a folder; return their files by name."""
    data = PICTURES.fetch(cache) / "skimage" / "data"
    astronaut, cat = (cv2.imread(str(data / name)) for name in ("astronaut.png", "chelsea.png"))
    assert astronaut is not None
    assert cat is not None
    top, bottom, left, right = _FACE
    face = astronaut[top:bottom, left:right]
    found: dict[str, Any] = {
        "astronaut": astronaut,
        "face": face,
        "two": np.concatenate([face, face[:, ::-1]], axis=1),
        "far": np.concatenate([astronaut, astronaut[:, ::-1]], axis=1),
        "cat": cat,
        "page": draw_page(cat),
    }
    paths = {name: folder / f"{name}.png" for name in found}
    for name, pixels in found.items():
        cv2.imwrite(str(paths[name]), pixels)
    return paths


def draw_page(photograph: Any) -> Any:
    """Draw a page of two columns with a title, a photograph, a table and captions; BGR uint8."""
    page = Image.new("RGB", _PAGE, "white")
    drawing = ImageDraw.Draw(page)
    left, right = _COLUMNS
    # The gaps leave room for the labels of boxes.
    _centred(drawing, (left + 160, 185), "2  Boxes and edges", 36)
    _paragraph(drawing, (left, 250), 13, 0)
    _paragraph(drawing, (left, 730), 26, 30)
    tall = round(_WIDTH * photograph.shape[0] / photograph.shape[1])
    shown = Image.fromarray(cv2.cvtColor(photograph, cv2.COLOR_BGR2RGB))
    page.paste(shown.resize((_WIDTH, tall)), (right, 250))
    caption = (right + _WIDTH // 2, 250 + tall + 44)
    _centred(drawing, caption, "Figure 1: A cat, seen from the front.", 20)
    _table(drawing, (right, 735))
    _paragraph(drawing, (right, 1070), 14, 12)
    return cv2.cvtColor(np.array(page), cv2.COLOR_RGB2BGR)


def _centred(drawing: Drawing, place: tuple[int, int], text: str, size: int) -> None:
    drawing.text(place, text, fill=_INK, font=ImageFont.load_default(size), anchor="mm")


def _paragraph(drawing: Drawing, place: tuple[int, int], lines: int, start: int) -> None:
    """Write lines of a column, both margins straight, from a word of the text on."""
    left, top = place
    font = ImageFont.load_default(20)
    words = (_TEXT * 6).split()[start:]
    for line in range(lines):
        row = [words.pop(0)]
        while drawing.textlength(" ".join([*row, words[0]]), font=font) <= _WIDTH:
            row.append(words.pop(0))
        widths = [drawing.textlength(word, font=font) for word in row]
        gap = (_WIDTH - sum(widths)) / max(len(row) - 1, 1)
        across = float(left)
        for word, width in zip(row, widths, strict=True):
            drawing.text((across, top + line * 20 * _LEADING), word, fill=_INK, font=font)
            across += width + gap


def _table(drawing: Drawing, place: tuple[int, int]) -> None:
    left, top = place
    font, tall = ImageFont.load_default(19), 46
    for number, row in enumerate(_ROWS):
        down = top + number * tall
        drawing.line((left, down, left + _WIDTH, down), fill=_INK, width=3 if number < 2 else 1)
        for column, text in enumerate(row):
            drawing.text((left + 15 + column * 130, down + 12), text, fill=_GREY, font=font)
    end = top + len(_ROWS) * tall
    drawing.line((left, end, left + _WIDTH, end), fill=_INK, width=3)
