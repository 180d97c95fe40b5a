"""`write` draws ASCII text on images with OpenCV's stroke font, at a finer resolution."""

from __future__ import annotations

import unicodedata

import cv2
import numpy as np

from ...inputs.image_files import Pixels

Colour = tuple[int, int, int]

BLACK: Colour = (20, 20, 20)
GREY: Colour = (96, 96, 96)
WHITE: Colour = (255, 255, 255)

_FONT = cv2.FONT_HERSHEY_SIMPLEX
_CAPITAL = 21  # height of a capital letter at scale 1, in pixels
_FINER = 4  # text is drawn this many times larger and averaged: OpenCV draws small strokes unevenly


def ascii_of(text: str) -> str:
    """Convert text to ASCII: drop accents, replace other letters by ``?``."""
    letters = unicodedata.normalize("NFKD", " ".join(text.split()))
    plain = "".join(letter for letter in letters if not unicodedata.combining(letter))
    ascii_only = plain.encode("ascii", "replace").decode()
    return "".join(letter if letter.isprintable() else "?" for letter in ascii_only)


def text_width(text: str, size: float) -> int:
    """Return the width in pixels of ASCII text whose capitals are ``size`` pixels high."""
    return round(_measure(text, size)[0] / _FINER)


def shorten(text: str, room: int, size: float) -> str:
    """Cut ASCII text to ``room`` pixels, with three dots in place of the rest."""
    if text_width(text, size) <= room:
        return text
    start = text
    while start and text_width(start + "...", size) > room:
        start = start[:-1].rstrip()
    return start + "..." if start else ""


def wrap(text: str, room: int, size: float) -> list[str]:
    """Break ASCII text between words into lines of at most ``room`` pixels, if words fit."""
    lines: list[str] = []
    for word in text.split():
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_width(longer, size) <= room:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def write(
    canvas: Pixels, text: str, left: int, baseline: int, size: float, colour: Colour = BLACK
) -> None:
    """Draw ASCII text on ``canvas`` in place; parts beyond its border are cut off."""
    width, height, below = _measure(text, size)
    pad = _FINER * 2
    ink = np.zeros((_up(height + 2 * pad) + _up(below + pad), _up(width + 2 * pad)), np.uint8)
    origin = _up(height + 2 * pad)
    cv2.putText(ink, text, (pad, origin), _FONT, _scale(size), 255, _stroke(size), cv2.LINE_AA)
    small = cv2.resize(
        ink, (ink.shape[1] // _FINER, ink.shape[0] // _FINER), interpolation=cv2.INTER_AREA
    )
    top, left = baseline - origin // _FINER, left - pad // _FINER
    rows = slice(max(top, 0), max(top + small.shape[0], 0))
    columns = slice(max(left, 0), max(left + small.shape[1], 0))
    part = canvas[rows, columns]
    share = small[max(-top, 0) :, max(-left, 0) :][: part.shape[0], : part.shape[1]]
    mixed = part + (share / 255.0)[:, :, None] * (np.array(colour) - part.astype(np.float32))
    canvas[rows, columns] = np.rint(mixed).astype(np.uint8)


def _measure(text: str, size: float) -> tuple[int, int, int]:
    """Return width and height above the baseline, and depth below it, in fine pixels."""
    (width, height), below = cv2.getTextSize(text, _FONT, _scale(size), _stroke(size))
    return width, height, below


def _scale(size: float) -> float:
    return _FINER * size / _CAPITAL


def _stroke(size: float) -> int:
    return max(1, round(_FINER * size / 8))


def _up(length: int) -> int:
    """Round up to a multiple of the finer grid."""
    return -(-length // _FINER) * _FINER
