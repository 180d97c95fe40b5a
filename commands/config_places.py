"""`check_places` refuses a release whose tables would overwrite each other or what they read."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ..runtime.errors import GraftcamError
from ..runtime.writing import input_at, refuse_twice

if TYPE_CHECKING:
    from .config import Entry


def check_places(entries: Sequence[Entry], config: Path, lock: Path) -> None:
    """Refuse, before anything is exported, outputs at one place, and outputs that are read.

    Args:
        entries: The tables.
        config: The release's file.
        lock: Its lock file, which is written.

    Raises:
        GraftcamError: With the tables and the file.
    """
    artifacts = [(f"[{one.name}]", one.path) for one in entries]
    refuse_twice([("the lock file", lock), *artifacts], GraftcamError)
    reports = [(f"[{one.name}]", one.report) for one in entries if one.report is not None]
    refuse_twice(reports, GraftcamError)
    for one in entries:
        for other in entries:
            if one is not other and _is_beside(one, other.path):
                raise GraftcamError(
                    f"[{one.name}] writes {other.path} beside its artifact, and so does "
                    f"[{other.name}]; give one of them another name in `to`"
                )
    reads = {path: f"[{one.name}] reads" for one in entries for path in one.reads}
    reads[config] = "is the release's own file"
    for one in entries:
        replaced = input_at(one.path, reads)
        if replaced is not None:
            raise GraftcamError(
                f"[{one.name}] writes {one.path}, which {reads[replaced]}; choose another `to`"
            )


def _is_beside(entry: Entry, path: Path) -> bool:
    """Whether an export may write ``path`` beside its artifact: large weights, or a head."""
    if path.parent.resolve() != entry.path.parent.resolve():
        return False
    is_head = path.name.startswith(f"{entry.path.stem}.head.") and path.suffix == ".onnx"
    return path.name == f"{entry.path.name}.data" or (entry.heads and is_head)
