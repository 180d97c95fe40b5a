"""This module lists the images and weights that ship with the package; it needs no torch."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from .data import Box

FOLDER = Path(__file__).parent / "images"
WEIGHTS = Path(__file__).parent / "digits.pt"


@dataclass(frozen=True)
class Image:
    """A bundled test canvas, 96x96 RGB.

    Attributes:
        path: The PNG file.
        boxes: The digits on it.
    """

    path: Path
    boxes: list[Box]


def images() -> list[Image]:
    """List the bundled images in the order in which they were drawn."""
    entries = json.loads((FOLDER / "boxes.json").read_text("utf-8"))
    return [
        Image(FOLDER / entry["file"], [Box(**digit) for digit in entry["digits"]])
        for entry in entries
    ]
