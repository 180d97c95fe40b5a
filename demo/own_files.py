"""`own_files` lets the demo replace what an earlier demo wrote, and nothing else."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Sequence
from pathlib import Path
from typing import Any

from ..runtime.custody.files import sha256_of
from ..runtime.errors import GraftcamError
from ..runtime.json_text import write_json
from ..runtime.strict_json import read_json
from ..runtime.writing import guard, replace_file

RECORD = "demo.json"
"""The file with the SHA-256 of each file that demos wrote to the folder, by its name there."""
_KEY = "written by graftcam demo"


@contextlib.contextmanager
def own_files(folder: Path, names: Sequence[str]) -> Generator[None]:
    """Check that these files may be written; record those that were, also after an error.

    Args:
        folder: Where they go.
        names: Their names in the folder, such as ``photographs/cat.jpg``.

    Raises:
        GraftcamError: One of them is an input, or is there and not as an earlier demo wrote it.
    """
    known = _recorded(folder / RECORD)
    for name in (*names, RECORD):
        path = folder / name
        guard(path, (), GraftcamError)
        written = known is not None and (name == RECORD or known.get(name) == _digest(path))
        if path.exists() and not written:
            raise GraftcamError(
                f"cannot write {path}: it is not as a demo wrote it; move it away, or choose "
                "another -o"
            )
    try:
        yield
    finally:
        files = {**(known or {}), **{name: _digest(folder / name) for name in names}}
        files = {name: digest for name, digest in files.items() if digest}
        if files:
            text = write_json({_KEY: files}, indent=1) + "\n"
            replace_file(folder / RECORD, text.encode(), GraftcamError)


def _digest(path: Path) -> str | None:
    return sha256_of(path) if path.is_file() else None


def _recorded(path: Path) -> dict[str, Any] | None:
    """Return the record of earlier demos; None if there is none, or a file that is no record."""
    try:
        found = read_json(path.read_bytes())
    except (OSError, ValueError):
        return None
    files = found.get(_KEY) if isinstance(found, dict) else None
    return files if isinstance(files, dict) else None
