"""This module reads what a file's metadata says of a detector."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import onnx_ir as ir

from ....runtime.spec.detector import Task
from .anchor_grid import AnchorGrid

_FAMILY = ("task", "names", "stride")
"""What the exporters of the YOLO family write; their training transform is one and known."""
TASKS: tuple[Task, ...] = ("detect", "segment", "pose", "obb")

GridOf = Callable[[ir.Value, int, int], "AnchorGrid | None"]


@dataclass(frozen=True)
class FileFacts:
    """What is known of a detector beside its graph.

    Attributes:
        names: Class names by id.
        size: Height and width of the model's input.
        task: Such as detect, segment, pose or obb.
        texts: All entries of the file's metadata.
        labels: Number of class names that the user gave; they win over ``names``.
        grid: Reads the meaning of boxes off their decoding: of a value, its axis of boxes and the
            first of the four entries; see `anchor_grid`.
        activation: What makes probabilities of the scores, where the user says so.
        folder: The folder of the model's external data.
        wanted: The only format to look for: a reading that nothing contradicts is taken.
    """

    names: list[str] | None = None
    size: tuple[int, int] | None = None
    task: str | None = None
    texts: Mapping[str, str] | None = None
    labels: int | None = None
    grid: GridOf | None = None
    activation: str | None = None
    folder: Path | None = None
    wanted: str | None = None

    @property
    def classes(self) -> int | None:
        """Number of classes that have a name; None if there are no names."""
        return self.labels or (len(self.names) if self.names else None)

    @property
    def insisted(self) -> bool:
        """Whether the user named the format."""
        return self.wanted is not None

    @property
    def whose_names(self) -> str:
        """Who gave them."""
        return "the labels name" if self.labels else "its metadata name"

    @property
    def is_family(self) -> bool:
        """Whether an exporter of the YOLO family wrote the file."""
        return all(key in (self.texts or {}) for key in _FAMILY)


def read_facts(
    metadata: Mapping[str, str], labels: int | None = None, grid: GridOf | None = None
) -> FileFacts:
    """Read a file's metadata; what cannot be read is left out."""
    task = metadata.get("task")
    return FileFacts(_names(metadata), _size(metadata), task, metadata, labels, grid)


def _size(metadata: Mapping[str, str]) -> tuple[int, int] | None:
    size = _literal(metadata.get("imgsz"))
    if isinstance(size, int):
        return size, size
    if isinstance(size, (list, tuple)):
        sides = cast("Sequence[Any]", size)
        if len(sides) == 2 and all(isinstance(side, int) and side > 0 for side in sides):
            return sides[0], sides[1]
    return None


def _names(metadata: Mapping[str, str]) -> list[str] | None:
    """Class names, sorted by number: some files store 0, 1, 10, 2."""
    if (lines := metadata.get("character")) is not None:
        return lines.strip("\n").split("\n")
    found = _literal(metadata.get("names"))
    if isinstance(found, dict):
        entries = cast("dict[Any, Any]", found)
        if not all(re.fullmatch(r"\d{1,9}", str(number)) for number in entries):
            return None
        by_number = {int(number): str(name) for number, name in entries.items()}
        return [by_number[number] for number in sorted(by_number)]
    if isinstance(found, (list, tuple)):
        return [str(name) for name in cast("list[Any]", found)]
    return None


def _literal(text: str | None) -> Any:
    """A Python or JSON literal; None if it is neither."""
    if text is None:
        return None
    for read in (ast.literal_eval, json.loads):
        try:
            return read(text)
        except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):
            continue
    return None
