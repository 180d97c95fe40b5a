"""These functions exchange the record in a file's metadata, and leave all other bytes as they are.

An ONNX file is a protobuf message, whose metadata come after the graph, so that another record
changes only the last bytes of the file.
"""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path

import onnx

from ...runtime.protobuf import field_of, fields
from ...runtime.spec import METADATA_KEY

_METADATA = onnx.ModelProto.METADATA_PROPS_FIELD_NUMBER
_CHUNK = 1 << 20


def exchange_record(path: Path, text: str) -> None:
    """Write another record into a file.

    Raises:
        OSError: The file cannot be written.
        ValueError: It has no record.
    """
    start, rest = _behind(path, text)
    with path.open("r+b") as file:
        file.seek(start)
        file.truncate()
        file.write(rest)


def digest_with(path: Path, text: str) -> str:
    """SHA-256 that a file would have with another record.

    Raises:
        ValueError: It has no record.
    """
    start, rest = _behind(path, text)
    found = hashlib.sha256()
    with path.open("rb") as file:
        while start:
            chunk = file.read(min(start, _CHUNK))
            found.update(chunk)
            start -= len(chunk)
    found.update(rest)
    return found.hexdigest()


def _behind(path: Path, text: str) -> tuple[int, bytes]:
    """Where the record begins, and the bytes that follow from there with another record."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for one in fields(data):
            if one.number != _METADATA:
                continue
            entry = onnx.StringStringEntryProto.FromString(data[one.start : one.end])
            if entry.key == METADATA_KEY:
                entry.value = text
                return one.begin, field_of(_METADATA, entry.SerializeToString()) + data[one.end :]
    raise ValueError(f"{path.name} has no {METADATA_KEY!r} in its metadata")
