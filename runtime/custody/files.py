"""`files_of` lists the files that an artifact consists of."""

from __future__ import annotations

from pathlib import Path

from ..errors import CustodyError, system_errors
from ..reading import file_sha256
from .entries import read_spec
from .fingerprint import fingerprint


def files_of(artifact: Path) -> list[Path]:
    """Return an artifact's file, its heads and the files beside them that have their weights.

    Raises:
        CustodyError: A file is missing or damaged.
        SpecError: It is no artifact.
    """
    spec = read_spec(artifact)
    found = [artifact]
    for head in (layer.head.file for layer in spec.layers if layer.head):
        path = artifact.parent / Path(head).name
        if not path.is_file():
            raise CustodyError(
                f"{artifact.name} has the head {head!r}, which is no file beside it; put the whole "
                "export into one folder"
            )
        found.append(path)
    found += [one.parent / name for one in found for name in fingerprint(one).files]
    return list(dict.fromkeys(found))


def sha256_of(path: Path) -> str:
    """Return the SHA-256 of a file.

    Raises:
        CustodyError: It cannot be read.
    """
    with system_errors(CustodyError, f"cannot read {path}"):
        return file_sha256(path)
