"""Files that once broke a reader, in a folder for each reader."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from hostile.reader import Reader


def corpus_of(readers: Sequence[Reader]) -> list[tuple[str, Path]]:
    """Names of readers and their files."""
    here = Path(__file__).parent
    folders = [(one.name, here / one.name.replace(" ", "_")) for one in readers]
    return [(name, file) for name, folder in folders for file in sorted(folder.glob("*"))]
