"""These functions find the files of annotations, and the photographs that they belong to."""

from __future__ import annotations

import os
from collections.abc import Callable, Generator, Iterable
from pathlib import Path

from ....errors import TruthError
from .names import listed


def files_in(folder: Path) -> list[str]:
    """Return all files in a folder and below, relative to it with ``/``, sorted.

    Names that begin with a dot are skipped; links to folders are not followed.

    Raises:
        TruthError: A folder cannot be read.
    """
    return sorted(file.relative_to(folder).as_posix() for file in _files(folder))


def stem_of(path: str) -> str:
    """Return a path without the suffix of its name."""
    folder, slash, name = path.rpartition("/")
    stem, dot, _ = name.rpartition(".")
    return f"{folder}{slash}{stem if dot and stem else name}"


def pair(
    drawn: Iterable[str], photographs: Iterable[str], key: Callable[[str], str] = str
) -> dict[str, str]:
    """Return the photograph of each name in annotations that has one.

    Whole paths are compared first, then the names alone of those that are left.

    Args:
        drawn: Names in annotations, with or without folders.
        photographs: The photographs, relative to their folder with ``/``.
        key: Returns the part of a photograph's path that annotations name.

    Raises:
        TruthError: A name fits two photographs, or a photograph two names.
    """
    names, every = list(dict.fromkeys(drawn)), list(photographs)
    whole = _grouped(every, key)
    found = {name: _only(name, whole[name]) for name in names if name in whole}
    taken = set(found.values())
    left = _grouped((one for one in every if one not in taken), lambda one: _last(key(one)))
    for last, ones in _grouped((one for one in names if one not in found), _last).items():
        if last in left:
            photograph = _only(ones[0], left[last])
            found[_only(photograph, ones)] = photograph
    return found


def unpaired(
    drawn: Iterable[str], photographs: Iterable[str], source: Path, folder: Path
) -> TruthError:
    """Return the error of annotations that name no photograph of the folder."""
    names = list(drawn)
    return TruthError(
        f"{source} has nothing on the photographs in {folder}: it names {listed(names)}, and they "
        f"are {listed(photographs)}; give the annotations of these photographs"
        if names
        else f"{source} names no photograph; give the annotations of {folder}"
    )


def _files(folder: Path) -> Generator[Path]:
    def refuse(error: OSError) -> None:
        raise TruthError(
            f"cannot read {error.filename}: {error.strerror}; make it readable"
        ) from error

    for place, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        yield from (Path(place) / name for name in names if not name.startswith("."))


def _only(name: str, candidates: list[str]) -> str:
    if len(candidates) > 1:
        raise TruthError(
            f"'{name}' could belong to {listed(candidates)}; rename all but one, or give a folder "
            "that holds only one of them"
        )
    return candidates[0]


def _last(path: str) -> str:
    return path.rpartition("/")[2]


def _grouped(paths: Iterable[str], key: Callable[[str], str]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for path in paths:
        groups.setdefault(key(path), []).append(path)
    return groups
