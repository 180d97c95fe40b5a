"""Explanations as files: pictures, raw maps, summaries."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from ..errors import RenderError
from ..writing import replace_file
from .render import LookOptions, write_image

if TYPE_CHECKING:
    from .explanation import Explanation


def save(
    found: Explanation,
    target: Path,
    positions: Sequence[int],
    suffix: str,
    name: str,
    look: LookOptions,
) -> list[Path]:
    """Write what ``Explanation.save`` promises and return the files' paths."""
    to_folder = not target.suffix or target.is_dir()
    whole = target / f"{name}{suffix}" if to_folder else target
    if whole.suffix == ".npy":
        return [replace_file(whole, _npy(found, positions), RenderError)]
    if whole.suffix == ".json":
        return [replace_file(whole, _json(found, positions), RenderError)]
    stem = name if to_folder else whole.stem
    paths: list[Path] = []
    for position in positions:
        lone = len(positions) == 1 and not to_folder
        path = whole if lone else whole.with_stem(f"{stem}-{slug(found.labels[position])}")
        if path in paths:  # a class asked for twice, or labels that differ in signs only
            path = path.with_stem(f"{path.stem}-{position}")
        paths.append(write_image(path, found.draw(position, **look)))
    return paths


def slug(label: str) -> str:
    """A label as part of a file name."""
    words = "".join(c if c.isalnum() else " " for c in label).split()
    return "-".join(words)[:40] or "class"


def _npy(found: Explanation, positions: Sequence[int]) -> bytes:
    buffer = io.BytesIO()
    np.save(buffer, found.maps[list(positions)], allow_pickle=False)
    return buffer.getvalue()


def _json(found: Explanation, positions: Sequence[int]) -> bytes:
    summary = found.to_dict(maps=True, positions=positions)
    return (json.dumps(summary, allow_nan=False, ensure_ascii=False) + "\n").encode()
