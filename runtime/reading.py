"""`read_file` and `map_file` open regular files only; `file_sha256` is the digest of a file."""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import stat
import sys
from pathlib import Path

from .errors import GraftcamError, system_errors

_KINDS = {
    stat.S_IFIFO: "a named pipe", stat.S_IFCHR: "a device", stat.S_IFBLK: "a device",
    stat.S_IFSOCK: "a socket",
}  # fmt: skip


def check_regular(
    path: str | Path, kind: type[GraftcamError], most: int = sys.maxsize, what: str | None = None
) -> None:
    """Refuse what is no regular file, or too large, before anything opens it.

    A pipe would block its reader for ever, and opening a device may do things.

    Args:
        path: The file; a link leads to one.
        kind: The exception to raise.
        most: Number of bytes that the file may have.
        what: What is to be read from it, for the message.
    """
    failed = _failed(path, what)
    with system_errors(kind, failed):
        try:
            _check(Path(path).stat(), kind, most, failed)
        except ValueError as error:  # a path with a zero byte, or one that cannot be encoded
            raise kind(f"{failed}: {error}") from error


def read_file(
    path: str | Path, kind: type[GraftcamError], most: int, what: str | None = None
) -> bytes:
    """Return the bytes of a regular file; see `check_regular` for the arguments.

    Raises:
        GraftcamError: As ``kind``: it cannot be read, is no regular file, or is too large.
    """
    check_regular(path, kind, most, what)
    failed = _failed(path, what)
    with system_errors(kind, failed):
        # Not blocking, in case that the file has become a pipe since.
        how = os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_BINARY", 0)
        with os.fdopen(os.open(path, how), "rb") as file:
            _check(os.fstat(file.fileno()), kind, most, failed)
            data = file.read(most + 1)
    if len(data) > most:  # the size that the system tells may be 0, as in /proc
        raise _too_large(len(data), kind, most, failed)
    return data


def map_file(path: str | Path, kind: type[GraftcamError]) -> mmap.mmap:
    """Map a regular file's bytes into memory; the mapping ends once nothing refers to it.

    Raises:
        GraftcamError: As ``kind``: it cannot be read, is no regular file, or is empty.
    """
    check_regular(path, kind)
    failed = _failed(path, None)
    with system_errors(kind, failed), Path(path).open("rb") as file:
        if not os.fstat(file.fileno()).st_size:
            raise kind(f"{failed}: it is empty; give another file")
        return mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)


def file_sha256(path: Path) -> str:
    """Return the SHA-256 of a file, in hexadecimal digits.

    Raises:
        OSError: It cannot be read.
    """
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _failed(path: str | Path, what: str | None) -> str:
    return f"cannot read {path}" if what is None else f"cannot read {what} from {path}"


def _check(found: os.stat_result, kind: type[GraftcamError], most: int, failed: str) -> None:
    if stat.S_ISDIR(found.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not stat.S_ISREG(found.st_mode):
        form = _KINDS.get(stat.S_IFMT(found.st_mode), "no file")
        raise kind(f"{failed}: it is {form}; give a regular file")
    if found.st_size > most:
        raise _too_large(found.st_size, kind, most, failed)


def _too_large(size: int, kind: type[GraftcamError], most: int, failed: str) -> GraftcamError:
    return kind(
        f"{failed}: it has {size / 1e6:,.1f} MB, and at most {most / 1e6:,.1f} MB are read; give a "
        "smaller file"
    )
