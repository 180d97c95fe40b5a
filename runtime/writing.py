"""Every file is written here: completely or not at all, and never over an input.

`guard` decides whether something may be written at a place. Commands and functions call it before
long work, and every writer again at the write: a writer cannot forget it. `protected` names the
inputs of what runs; `atomic_write`, `replace_file` and `staged` then refuse to replace them.
"""

from __future__ import annotations

import contextlib
import errno
import os
import stat
from collections import ChainMap
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextvars import ContextVar
from itertools import takewhile
from pathlib import Path
from typing import TypeAlias

from .drafts import draft
from .errors import GraftcamError, system_errors

Identity: TypeAlias = tuple[int, int] | str
"""What is equal for all names of one file: links, hard links and other spellings."""

_DEVICES = Path("/dev")  # a rename there would replace a device, or what /dev/stdout links to
_FULL = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
_REMEDY = "; choose another place"

_inputs: ContextVar[dict[Identity, Path]] = ContextVar("inputs of what runs")


@contextlib.contextmanager
def protected(inputs: Iterable[str | Path]) -> Generator[None]:
    """While the context lasts, no function of this module replaces one of these files.

    Threads that `in_order` starts inherit this.

    Args:
        inputs: Files and folders that are read; what does not exist is ignored.
    """
    token = _inputs.set({**_inputs.get({}), **_identities(inputs)})
    try:
        yield
    finally:
        _inputs.reset(token)


def guard(
    path: Path, inputs: Iterable[str | Path], kind: type[GraftcamError], *, folder: bool = False
) -> None:
    """Refuse a place where nothing may be written, before the work is done.

    A link is a place of its own: writing replaces the link, and what it leads to stays.

    Args:
        path: A file to write; one that exists is to be replaced.
        inputs: Files and folders that are read; those that are `protected` count as well.
        kind: What to raise.
        folder: ``path`` is a folder for files, which may exist.

    Raises:
        GraftcamError: As ``kind``: it is an input, by whatever name or link, is no regular file
            (no folder), or lies where nothing can be made.
    """
    with system_errors(kind, f"cannot write {path}", _REMEDY):
        known = ChainMap(_identities(inputs), _inputs.get({}))
        reason = _reason(path, known, folder=folder)
    if reason:
        raise kind(f"cannot write {path}: {reason}{_REMEDY}")


def refuse_twice(written: Iterable[tuple[str, Path]], kind: type[GraftcamError]) -> None:
    """Refuse two outputs at one place, by whatever spelling.

    Args:
        written: Each output's name for the message, and its place.
        kind: What to raise.

    Raises:
        GraftcamError: As ``kind``.
    """
    known: dict[str, str] = {}
    for name, path in written:
        # Some file systems ignore case. A link is a place of its own.
        place = str(path.parent.resolve() / path.name).casefold()
        if place in known:
            raise kind(f"{known[place]} and {name} both write {path}; give each its own place")
        known[place] = name


def input_at(path: Path, inputs: Iterable[str | Path]) -> Path | None:
    """Return the one of ``inputs`` that writing at ``path`` would replace; None: there is none."""
    own = _identity(path)
    return None if own is None else _identities(inputs).get(own)


@contextlib.contextmanager
def atomic_write(path: Path, kind: type[GraftcamError]) -> Generator[Path]:
    """Yield the path of a draft; on success rename it to ``path``, else delete it.

    Missing folders are created, and removed again if nothing is written.

    Raises:
        GraftcamError: As ``kind``: `guard` refuses the place, or for an OSError, with its reason.
    """
    guard(path, (), kind)
    with (
        system_errors(kind, f"cannot write {path}"),
        made_folder(path.parent, kind),
        draft(path.parent) as place,  # in the target's folder: on one file system
    ):
        yield place
        guard(path, (), kind)
        place.replace(path)


def replace_file(path: Path, content: bytes, kind: type[GraftcamError]) -> Path:
    """Write ``content`` to ``path``, completely or not at all; see `atomic_write`."""
    with atomic_write(path, kind) as place:
        place.write_bytes(content)
    return path


@contextlib.contextmanager
def staged(
    folder: Path, kind: type[GraftcamError], what: object = None, *, last: str = ""
) -> Generator[Path]:
    """Yield a new folder; on success what it contains moves to ``folder``, all of it or nothing.

    ``folder`` is created if it is missing, and removed again if nothing is written.

    Args:
        folder: Where the files and folders go; files of their names are replaced.
        kind: What to raise.
        what: What is written, for the message; None: the folder.
        last: The name of the file that moves last, such as one that refers to others.

    Raises:
        GraftcamError: As ``kind``: `guard` refuses a place, a folder to move exists already, or the
            disk is full or cannot be written.
    """
    failed = f"cannot write {what or folder}"
    with contextlib.ExitStack() as stack:
        stack.enter_context(made_folder(folder, kind))
        with system_errors(kind, failed, _REMEDY):
            place = stack.enter_context(draft(folder, directory=True))
        try:
            yield place
        except OSError as error:
            if error.errno not in _FULL:
                raise
            raise kind(f"{failed}: {error.strerror}{_REMEDY}") from error
        parts = sorted(place.iterdir(), key=lambda part: (part.name == last, part.name))
        for part in parts:
            guard(folder / part.name, (), kind)
        with system_errors(kind, failed, _REMEDY):
            _publish(parts, folder, stack.enter_context(draft(folder, directory=True)))


def _publish(parts: Sequence[Path], folder: Path, before: Path) -> None:
    """Move ``parts`` to ``folder``; if that fails at one, everything is as it was.

    Args:
        parts: Files and folders.
        folder: Where they go.
        before: An empty folder for what is replaced.
    """
    with contextlib.ExitStack() as undo:
        for part in parts:
            place, old = folder / part.name, before / part.name
            if not os.path.lexists(place):
                undo.callback(_move_back, place, part)
            else:
                # Some file systems have no hard links: the new file stays there.
                with contextlib.suppress(OSError, NotImplementedError):
                    os.link(place, old, follow_symlinks=False)
                    undo.callback(_move_back, old, place)
            part.replace(place)
        undo.pop_all()


def _move_back(now: Path, before: Path) -> None:
    with contextlib.suppress(OSError):  # it was not moved
        now.replace(before)


@contextlib.contextmanager
def made_folder(folder: Path, kind: type[GraftcamError]) -> Generator[None]:
    """Create ``folder`` with those above it; after an error remove those that are empty again.

    Raises:
        GraftcamError: As ``kind``: it cannot be made.
    """
    missing = list(takewhile(lambda one: not one.exists(), (folder, *folder.parents)))
    try:
        with system_errors(kind, f"cannot make {folder}", _REMEDY):
            folder.mkdir(parents=True, exist_ok=True)
        yield
    except BaseException:
        for one in missing:
            with contextlib.suppress(OSError):
                one.rmdir()
        raise


def _reason(path: Path, inputs: Mapping[Identity, Path], *, folder: bool) -> str:
    """Say why nothing may be written at ``path``; empty: it may."""
    own = _identity(path)
    if own is not None:
        if own in inputs:
            name = inputs[own]
            return "it is an input" if name == path else f"it is the input {name}"
        mode = path.stat().st_mode
        if stat.S_ISDIR(mode) and not folder:
            return "it is a folder"
        if not stat.S_ISDIR(mode) and folder:
            return "it is no folder"
        plain = stat.S_ISREG(mode) and path.parent.resolve() != _DEVICES
        if not (plain or stat.S_ISDIR(mode)):
            return "it is no regular file"
    whole = path.absolute()
    around = [whole, *whole.parents] if folder else whole.parents
    nearest = next(one for one in around if one.exists())
    if not nearest.is_dir():
        return f"{nearest} is no folder"
    return "" if os.access(nearest, os.W_OK | os.X_OK) else f"{nearest} cannot be written"


def _identities(paths: Iterable[str | Path]) -> dict[Identity, Path]:
    known: dict[Identity, Path] = {}
    for path in map(Path, paths):
        with contextlib.suppress(OSError, ValueError):  # text that is no path, such as a long one
            own = _identity(path)
            known |= {} if own is None else {own: path}
    return known


def _identity(path: Path) -> Identity | None:
    """Return what all names of an existing file share; None if there is none."""
    try:
        found = path.stat()
    except (FileNotFoundError, NotADirectoryError):
        return None
    # Some file systems do not number their files.
    return (found.st_dev, found.st_ino) if found.st_ino else str(path.resolve())
