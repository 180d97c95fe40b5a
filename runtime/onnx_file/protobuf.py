"""These functions read and write fields of protobuf messages, of which ONNX files consist.

A message is its fields, one after the other: each is a tag, ``number << 3 | kind``, and a value.
Numbers are varints: seven bits a byte, the lowest first, and the eighth says that more follow.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from typing import NamedTuple, TypeAlias

VARINT, FIXED64, BYTES, FIXED32 = 0, 1, 2, 5
_SIZES = {FIXED64: 8, FIXED32: 4}
_LONGEST = 10  # bytes of a number of 64 bits
_MASK = (1 << 64) - 1

Data: TypeAlias = memoryview | mmap.mmap


class Field(NamedTuple):
    """Where a field lies in a message.

    Attributes:
        number: Its number in the message's definition.
        kind: How its value is written: `VARINT`, `FIXED64`, `BYTES` or `FIXED32`.
        begin: Where its tag begins.
        start: Where its value begins.
        end: Where the next field begins.
    """

    number: int
    kind: int
    begin: int
    start: int
    end: int


def fields(data: Data, start: int = 0, stop: int | None = None) -> Iterator[Field]:
    """Yield the fields of a message, without those inside it.

    Args:
        data: The bytes that the message lies in.
        start: Where it begins.
        stop: Where it ends; None: at the end of ``data``.

    Raises:
        ValueError: It is no message; at its end, an IndexError.
    """
    end, stop = start, len(data) if stop is None else stop
    while end < stop:
        begin = end
        tag, start = read_varint(data, begin)
        number, kind = tag >> 3, tag & 7
        if kind == VARINT:
            _, end = read_varint(data, start)
        elif kind == BYTES:
            size, start = read_varint(data, start)
            end = start + size
        elif kind in _SIZES:
            end = start + _SIZES[kind]
        else:
            raise ValueError(f"the field at byte {begin} is of the unknown kind {kind}")
        if end > stop:
            raise ValueError("it ends within a field")
        yield Field(number, kind, begin, start, end)


def read_varint(data: Data, place: int) -> tuple[int, int]:
    """Return a number and where it ends.

    Raises:
        ValueError: It has more than 64 bits; at the end of the data, an IndexError.
    """
    number = shift = 0
    for end in range(place + 1, place + 1 + _LONGEST):
        byte = data[end - 1]
        number, shift = number | (byte & 0x7F) << shift, shift + 7
        if byte < 0x80:
            return number & _MASK, end
    raise ValueError(f"the number at byte {place} does not end")


def field_of(number: int, content: bytes) -> bytes:
    """Encode a field of bytes, text or a message."""
    return _varint(number << 3 | BYTES) + _varint(len(content)) + content


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    found.append(number)
    return bytes(found)
