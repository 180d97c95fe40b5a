"""These functions draw boxes on images: outlines with a dark rim, and labels that hide little."""

from __future__ import annotations

import colorsys
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from ...inputs.image_files import Pixels
from .text import WHITE, Colour, ascii_of, text_width, write

Corners = tuple[float, float, float, float]

_RIM: Colour = (15, 15, 15)
_HUES = 0.618034  # of a turn from one class to the next: neighbours differ, and none repeats
_FIRST_HUE = 0.58
_PAD = 3
_LEAST_SIDES = 5  # of a box, in widths of its line
_AWAY = 3  # from the box to its frame, in pixels
_LABEL_COST = 10.0


@dataclass(frozen=True)
class Label:
    """A box to draw.

    Attributes:
        corners: Left, top, right and bottom, in pixels of the drawing.
        text: What to write beside it.
        short: What to write where ``text`` has no room.
        colour: Of its outline, and the ground of its text.
    """

    corners: Corners
    text: str
    short: str
    colour: Colour


def class_colour(class_id: int) -> Colour:
    """Return the colour of a class: always the same, and dark enough for white text."""
    hue = (_FIRST_HUE + class_id * _HUES) % 1
    # Green and yellow look lighter than red and blue of the same value.
    value = 0.58 if 0.1 < hue < 0.55 else 0.8
    red, green, blue = (round(255 * part) for part in colorsys.hsv_to_rgb(hue, 0.85, value))
    return red, green, blue


def outline(
    image: Pixels, corners: Corners, colour: Colour, edge: str | None = None, width: int = 0
) -> None:
    """Draw the outline of a box on ``image`` in place, visible on light and on dark.

    Args:
        image: RGB uint8 [H, W, 3].
        corners: Left, top, right and bottom in its pixels.
        colour: Of the line.
        edge: The edge that is drawn thick, if one is meant.
        width: Width of the line; 0: what suits the image.
    """
    height, wide = image.shape[:2]
    line = width or max(2, round(min(height, wide) / 160))
    left, right = (int(np.clip(round(side), 0, wide - 1)) for side in corners[0::2])
    top, bottom = (int(np.clip(round(side), 0, height - 1)) for side in corners[1::2])
    if not width and min(right - left, bottom - top) < _LEAST_SIDES * line:
        line = 1  # around the box, as a line of text is thinner than its frame would be
        left, top = max(left - _AWAY, 0), max(top - _AWAY, 0)
        right, bottom = min(right + _AWAY, wide - 1), min(bottom + _AWAY, height - 1)
    for tint, thickness in ((WHITE, line + 2), (_RIM, line + 1), (colour, line)):
        cv2.rectangle(image, (left, top), (right, bottom), tint, thickness)
    ends = {
        "left": ((left, top), (left, bottom)), "right": ((right, top), (right, bottom)),
        "top": ((left, top), (right, top)), "bottom": ((left, bottom), (right, bottom)),
    }.get(edge or "")  # fmt: skip
    if ends is not None:
        for tint, thickness in ((_RIM, 2 * line + 4), (WHITE, 2 * line + 1)):
            cv2.line(image, *ends, tint, thickness)


def draw_boxes(image: Pixels, labels: Sequence[Label], size: float = 0) -> Pixels:
    """Return the image with outlined boxes and their labels.

    A label lies outside its box where there is room, and never beyond the image. It takes the place
    where it hides the least of other boxes and labels; the short text, if the long one has none.

    Args:
        image: RGB uint8 [H, W, 3].
        labels: The boxes.
        size: Height of a capital in pixels; 0: what suits the image.
    """
    drawn = image.copy()
    height, width = image.shape[:2]
    size = size or float(np.clip(min(height, width) / 34, 6, 15))
    for one in labels:
        outline(drawn, one.corners, one.colour)
    placed: list[Corners] = []
    for one in labels:
        others = [other.corners for other in labels if other is not one]
        options = [
            _place(ascii_of(text), one.corners, size, (height, width), others, placed)
            for text in dict.fromkeys((one.text, one.short))
        ]  # fmt: skip
        usable = [option for option in options if option is not None]
        if not usable:
            continue
        # The long text is worth a little overlap.
        room, text, _ = min(usable, key=lambda option: (option[2] > 0.02, option[2]))
        placed.append(room)
        left, top, right, bottom = (round(side) for side in room)
        cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), one.colour, -1)
        cv2.rectangle(drawn, (left, top), (right - 1, bottom - 1), _RIM, 1)
        write(drawn, text, left + _PAD + 1, bottom - _PAD - 1, size, WHITE)
    return drawn


def _place(
    text: str,
    corners: Corners,
    size: float,
    extents: tuple[int, int],
    others: Sequence[Corners],
    labels: Sequence[Corners],
) -> tuple[Corners, str, float] | None:
    """Return where a text hides the least, and how much: 0 nothing, 1 a box as large as itself."""
    wide, tall = text_width(text, size) + 2 * _PAD + 3, round(size) + 2 * _PAD + 2
    height, width = extents
    if wide > width or tall > height:
        return None
    left, top, right, bottom = corners
    gap = 3
    rows = (top - tall - gap, bottom + gap)
    spots = [(start, row) for row in rows for start in (left, right - wide)]
    spots += [(right + gap, top), (left - wide - gap, top), (right + gap, bottom - tall),
              (left - wide - gap, bottom - tall)]  # fmt: skip
    spots += [(left + gap, top + gap), (right - wide - gap, bottom - tall - gap)]
    found: list[tuple[float, int, Corners]] = []
    for order, (start, row) in enumerate(spots):
        x, y = float(np.clip(start, 0, width - wide)), float(np.clip(row, 0, height - tall))
        room = (x, y, x + wide, y + tall)
        hidden = max([_covered(room, box) for box in (*others, corners)])
        # A label over another one makes both useless.
        hidden = max([hidden, *(_LABEL_COST * _covered(room, label) for label in labels)])
        found.append((hidden, order, room))
    hidden, _, room = min(found)
    return room, text, hidden


def _covered(room: Corners, other: Corners) -> float:
    """Return the share of a label that lies in a box."""
    wide = min(room[2], other[2]) - max(room[0], other[0])
    tall = min(room[3], other[3]) - max(room[1], other[1])
    area = (room[2] - room[0]) * (room[3] - room[1])
    return max(wide, 0) * max(tall, 0) / area
