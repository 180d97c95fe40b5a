"""This module reads what a file's metadata says of a detector."""

from __future__ import annotations

import ast
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast


@dataclass(frozen=True)
class FileFacts:
    """What exporters of detectors write into a file's metadata, and what the user says.

    Attributes:
        names: Class names by id.
        size: Height and width of the model's input.
        task: Such as detect, segment, pose or obb.
        texts: All entries.
        labels: Number of class names that the user gave; they win over ``names``.
        activation: What makes probabilities of the scores, where the user says so.
        folder: The folder of the model's external data.
        wanted: The only format to look for.
    """

    names: list[str] | None = None
    size: tuple[int, int] | None = None
    task: str | None = None
    texts: Mapping[str, str] | None = None
    labels: int | None = None
    activation: str | None = None
    folder: Path | None = None
    wanted: str | None = None

    @property
    def classes(self) -> int | None:
        """Number of classes that have a name; None if there are no names."""
        return self.labels or (len(self.names) if self.names else None)


def read_facts(metadata: Mapping[str, str]) -> FileFacts:
    """Read a file's metadata; what cannot be read is left out."""
    size = _literal(metadata.get("imgsz"))
    pair = (
        tuple(size)
        if isinstance(size, (list, tuple)) and len(cast("list[Any]", size)) == 2
        else None
    )
    return FileFacts(
        _names(metadata), cast("tuple[int, int] | None", pair), metadata.get("task"), metadata
    )


def _names(metadata: Mapping[str, str]) -> list[str] | None:
    """Class names, sorted by number: some files store 0, 1, 10, 2."""
    if (lines := metadata.get("character")) is not None:
        return lines.strip("\n").split("\n")
    found = _literal(metadata.get("names"))
    if isinstance(found, dict):
        by_number = {
            int(number): str(name) for number, name in cast("dict[Any, Any]", found).items()
        }
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
