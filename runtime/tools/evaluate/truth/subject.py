"""`Subject` is what annotations are read for: a model's classes and a folder's photographs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .names import Classes


@dataclass(frozen=True, eq=False)
class Subject:
    """What annotations are read for.

    Attributes:
        names: Finds classes by name.
        classes: Number of classes.
        labelled: Whether the model stores labels.
        folder: The photographs' folder.
        photographs: The photographs, relative to it with ``/``, sorted.
        max_pixels: Number of pixels that a mask's file may have.
    """

    names: Classes
    classes: int
    labelled: bool
    folder: Path
    photographs: Sequence[str]
    max_pixels: int
