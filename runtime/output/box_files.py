"""`write_boxes` writes the explanation of a detector's boxes to one file."""

from __future__ import annotations

from pathlib import Path
from typing import Unpack

from ..inputs.names import file_name
from ..writing import protected
from .animation import ANIMATED
from .box_explanation import BoxExplanation
from .printed import PRINTED, WIDTH
from .render import LookOptions, write_image

_IMAGES = (".png", ".jpg", ".jpeg")
PICTURES = (*_IMAGES, *PRINTED, *ANIMATED)
"""Suffixes of files that show all boxes."""


def boxes_file(name: str, suffix: str, method: str | None = None) -> str:
    """Return the name of the file for an image's boxes: ``<image>-boxes[-<method>].png``."""
    return file_name("-".join(filter(None, [name, "boxes", method])), suffix)


def write_boxes(
    found: BoxExplanation,
    path: Path,
    width: float = WIDTH,
    fps: float | None = None,
    **look: Unpack[LookOptions],
) -> list[Path]:
    """Write one picture of all boxes and their maps, or the maps and numbers; nothing without any.

    Args:
        found: The explanation.
        path: The file; its suffix says what is written, see `Explanation.save`.
        width: Of a figure for print, in inches.
        fps: Frames a second of an animation; None: see `animate`.
        look: As for `Explanation.draw`.

    Raises:
        RenderError: The file cannot be written, or its suffix is unknown.
    """
    if not found.detections:
        return []
    if path.suffix.lower() in _IMAGES:
        with protected(found.sources):
            return [write_image(path, found.panel(**look))]
    return found.save(path, width=width, fps=fps, **look)
