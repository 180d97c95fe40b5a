"""`save` writes an explanation to files: images, raw maps, a summary or a page."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from ..errors import RenderError
from ..inputs.names import Names, file_name
from ..json_text import write_json
from ..writing import protected, replace_file
from .animation import ANIMATED, animate
from .explanation_data import ExplanationData
from .notebook import page_of
from .printed import PRINTED, WIDTH, print_sheet
from .render import Look, LookOptions, write_image

_WHOLE = (".npy", ".json", ".html", *PRINTED, *ANIMATED)
"""Suffixes of files that contain all classes."""


@dataclass(frozen=True)
class Made:
    """What single kinds of files take beside the look.

    Attributes:
        width: Of a figure for print, in inches.
        fps: Frames a second of an animation; None: see `animate`.
    """

    width: float = WIDTH
    fps: float | None = None


def save(
    data: ExplanationData,
    target: str | Path,
    positions: Sequence[int],
    suffix: str,
    name: str | None,
    look: LookOptions,
    names: Names | None = None,
    made: Made | None = None,
) -> list[Path]:
    """Write the classes at ``positions`` and return the files' paths; see `Explanation.save`.

    ``names`` are those of the files that other explanations have in the folder: "photo" with a
    "red fox" and "photo-red" with a "fox" get two.
    """
    names = Names() if names is None else names
    with protected(data.sources):
        return _save(
            data, Path(target), positions, suffix, name or data.name, look, names, made or Made()
        )


def names_file(target: Path) -> bool:
    """Whether `save` takes a name for a file's; else it is that of a folder, which must exist."""
    if target.is_dir() or not target.suffix:
        return False
    return target.suffix in _WHOLE or cv2.haveImageWriter(f"file{target.suffix}")


def _save(
    data: ExplanationData,
    target: Path,
    positions: Sequence[int],
    suffix: str,
    name: str,
    look: LookOptions,
    names: Names,
    made: Made,
) -> list[Path]:
    to_folder = not target.suffix or target.is_dir()
    whole = target / file_name(name, suffix) if to_folder else target
    lone = len(positions) == 1 and not to_folder
    if lone or whole.suffix in _WHOLE:
        whole = whole.with_stem(names.distinct(whole.stem))
    if whole.suffix == ".npy":
        buffer = io.BytesIO()
        np.save(buffer, data.maps[list(positions)], allow_pickle=False)
        return [replace_file(whole, buffer.getvalue(), RenderError)]
    if whole.suffix == ".json":
        summary = data.to_dict(maps=True, positions=positions)
        text = write_json(summary, allow_nan=False, ensure_ascii=False) + "\n"
        return [replace_file(whole, text.encode(), RenderError)]
    if whole.suffix == ".html":
        return [replace_file(whole, page_of(data, positions, look).encode(), RenderError)]
    if whole.suffix in PRINTED:
        shown = data.only(positions)
        page = print_sheet(
            lambda height: shown.sheet(height, Look(**look)), whole.suffix, made.width
        )
        return [replace_file(whole, page, RenderError)]
    if whole.suffix in ANIMATED:
        return [animate([data.only(positions)], whole, made.fps, **look)]
    stem = name if to_folder else whole.stem
    paths: list[Path] = []
    for position in positions:
        # A class may occur twice, and labels may differ in punctuation only.
        label = names.distinct(f"{stem}-{_slug(data.labels[position])}")
        path = whole if lone else whole.with_name(file_name(label, whole.suffix))
        paths.append(write_image(path, data.draw_class(position, None, look)))
    return paths


def _slug(label: str) -> str:
    """Convert a label to a part of a file name."""
    words = "".join(c if c.isalnum() else " " for c in label).split()
    return "-".join(words)[:40] or "class"
