"""A draft is a hidden file or folder that a rename makes visible; `remove_dead` removes old ones.

The process that writes a draft holds a lock on it (flock). The lock ends with the process, however
it ends: a draft without a lock was left behind by a kill, and the next process that writes into the
folder removes it. The kernel keeps locks across containers, and file systems that share locks keep
them across machines. Where there are no locks (Windows, some network drives) nothing is removed.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import uuid
from collections.abc import Generator, Iterable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

_fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None  # which Windows lacks
DRAFTS = ".graftcam-*.tmp"
"""A pattern of the names of drafts."""

_NAME = re.compile(r"\.graftcam-[0-9a-f]{32}\.tmp")
# A link or a pipe that has a draft's name must neither be followed nor wait for a writer.
_PLAIN = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)

# Folders that this process has searched: it writes many files to one, and its drafts are alive.
_searched: set[str] = set()


@contextlib.contextmanager
def draft(folder: Path, *, directory: bool = False) -> Generator[Path]:
    """Make an empty draft in ``folder``, and delete it at the end if it was not renamed.

    Args:
        folder: An existing folder; the first time, drafts of dead processes are removed from it.
        directory: Make a folder instead of a file.

    Raises:
        OSError: It cannot be made.
    """
    place = os.path.abspath(folder)  # noqa: PTH100 - without a look at the disk
    if place not in _searched:
        _searched.add(place)
        remove_dead(folder.glob(DRAFTS))
    path, lock = _locked_draft(folder, directory)
    try:
        yield path
    finally:
        _delete(path)
        if lock is not None:
            os.close(lock)


def remove_dead(paths: Iterable[Path]) -> None:
    """Remove those of ``paths`` that are drafts of processes that have ended.

    What cannot be read or removed stays.
    """
    with contextlib.suppress(OSError):
        for path in paths:
            if _fcntl is not None and _NAME.fullmatch(path.name):
                _remove_if_dead(path)


def _remove_if_dead(path: Path) -> None:
    with contextlib.suppress(OSError):
        lock = _open(path)
        try:
            if _lock(lock):
                _delete(path)
        finally:
            os.close(lock)


def _locked_draft(folder: Path, directory: bool) -> tuple[Path, int | None]:
    """Make a draft and return it with the handle of its lock; None where there are no locks."""
    while True:
        path = folder / f".graftcam-{uuid.uuid4().hex}.tmp"
        if directory:
            path.mkdir(0o700)
        else:
            path.touch(exist_ok=False)
        if _fcntl is None:
            return path, None
        try:
            lock = _open(path)
        except FileNotFoundError:
            continue  # another process took it for a dead one's before it was locked
        # Another process may hold the lock to remove the draft, or have removed it.
        if _lock(lock) is not False and path.exists():
            return path, lock
        os.close(lock)


def _open(path: Path) -> int:
    # NFS locks only what is open for writing; a folder cannot be.
    return os.open(path, (os.O_RDONLY if path.is_dir() else os.O_RDWR) | _PLAIN)


def _lock(handle: int) -> bool | None:
    """Lock an open file or folder; False if another process has the lock, None without locks."""
    try:
        _fcntl.flock(handle, _fcntl.LOCK_EX | _fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


def _delete(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)
