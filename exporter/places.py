"""An export's places: which files it reads, and whether it may write where it was told to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, cast

from ..runtime.writing import guard
from .errors import WriteError
from .report.page.write import check_folder


def files_read(*arguments: Any) -> list[Path]:
    """Return the files and folders among arguments of `export`, some of which may not exist.

    Args:
        arguments: A model, labels (also by output), a transform or a folder; what is no text and
            no path is left out.
    """
    found: list[Path] = []
    for one in arguments:
        if isinstance(one, (str, Path)):
            found.append(Path(one))
        elif isinstance(one, Mapping):
            found += files_read(*cast("Mapping[Any, Any]", one).values())
    return found


def check_places(path: Path, report: Path | None, inputs: Sequence[Path]) -> None:
    """Refuse, before any work, an export that would overwrite what it reads, or cannot be written.

    Args:
        path: The artifact.
        report: The folder of its report.
        inputs: What the export reads.

    Raises:
        WriteError: See `guard` and `check_folder`.
    """
    guard(path, inputs, WriteError)
    guard(path.with_name(f"{path.name}.data"), inputs, WriteError)
    if report is not None:
        check_folder(report, inputs)
