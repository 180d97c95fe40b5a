"""`atomic_write` and `replace_file` write a file completely or not at all."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Generator
from pathlib import Path

from .errors import GraftcamError, system_errors


@contextlib.contextmanager
def atomic_write(path: Path, kind: type[GraftcamError]) -> Generator[Path]:
    """Yield the path of a draft; on success rename it to ``path``, else delete it.

    Missing folders are created. An OSError is raised as ``kind``, with its reason.
    """
    # In the target's folder, so that os.replace stays within one file system.
    draft = path.with_name(f".{uuid.uuid4().hex}.tmp")
    try:
        with system_errors(kind, f"cannot write {path}"):
            path.parent.mkdir(parents=True, exist_ok=True)
            yield draft
            os.replace(draft, path)  # noqa: PTH105 - atomic, and so named
    finally:
        with contextlib.suppress(OSError):
            draft.unlink(missing_ok=True)


def replace_file(path: Path, content: bytes, kind: type[GraftcamError]) -> Path:
    """Write ``content`` to ``path``, completely or not at all; see `atomic_write`."""
    with atomic_write(path, kind) as draft:
        draft.write_bytes(content)
    return path
