"""These functions exchange the record in a file's metadata, and leave all other bytes as they are.

An ONNX file is a protobuf message: fields one after the other, each a tag and a value. The metadata
come after the graph, so that another record changes only the last bytes of the file.
"""

from __future__ import annotations

import hashlib
import mmap
from collections.abc import Iterator
from pathlib import Path

import onnx

from ...runtime.spec import METADATA_KEY

_METADATA = onnx.ModelProto.METADATA_PROPS_FIELD_NUMBER
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5  # protobuf's wire types
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
        for number, begin, value, end in _fields(data):
            if number != _METADATA:
                continue
            entry = onnx.StringStringEntryProto.FromString(data[value:end])
            if entry.key == METADATA_KEY:
                entry.value = text
                content = entry.SerializeToString()
                tag = _METADATA << 3 | _BYTES
                return begin, _varint(tag) + _varint(len(content)) + content + data[end:]
    raise ValueError(f"{path.name} has no {METADATA_KEY!r} in its metadata")


def _fields(data: mmap.mmap) -> Iterator[tuple[int, int, int, int]]:
    """Yield the number of each field, and where its tag, its value and what follows begin."""
    place = 0
    while place < len(data):
        begin = place
        tag, place = _read_varint(data, place)
        kind, value = tag & 7, place
        if kind == _VARINT:
            _, place = _read_varint(data, place)
        elif kind == _BYTES:
            length, value = _read_varint(data, place)
            place = value + length
        elif kind in (_FIXED64, _FIXED32):
            place += 8 if kind == _FIXED64 else 4
        else:
            raise ValueError(f"wire type {kind} at byte {begin} is none of an ONNX file")
        yield tag >> 3, begin, value, place


def _read_varint(data: mmap.mmap, place: int) -> tuple[int, int]:
    """A number of seven bits a byte, the lowest first, and where it ends."""
    number, shift = 0, 0
    while True:
        byte = data[place]
        number |= (byte & 0x7F) << shift
        place, shift = place + 1, shift + 7
        if byte < 0x80:
            return number, place


def _varint(number: int) -> bytes:
    found = bytearray()
    while number >= 0x80:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
