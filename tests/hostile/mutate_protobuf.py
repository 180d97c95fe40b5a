"""`mutated_protobuf` changes one field of a message or of one inside it, and mends the lengths.

It has its own reader of the wire format, so that it shares no mistake with the one under test.
"""

from __future__ import annotations

import json
from random import Random

from hostile.mutate_json import mutated_json

_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_NUMBERS = (0, 1, 2, 7, 8, 16, 127, 128, 2**31 - 1, 2**31, 2**32, 2**63 - 1, 2**63, 2**64 - 1)
_TEXTS = (
    b"", b"\0", b"x", b"\xff\xfe\x80", b"\x1b[2J", b"a\nb", b"../x", b"/etc/passwd", b"a" * 5000,
    b"Loop", b"If", b"Conv", b"ai.onnx.ml", b"graftcam",
)  # fmt: skip

# The number of a field, its kind, and its value: a number, or bytes.
Entry = tuple[int, int, int | bytes]


def mutated_protobuf(data: bytes, random: Random) -> bytes | None:
    """Return a message changed in one place; None if it is none."""
    entries = _read(data)
    if not entries:
        return None
    at = random.randrange(len(entries))
    number, kind, value = entries[at]
    if kind == _BYTES and isinstance(value, bytes) and random.random() < 0.75:
        inner = _inside(value, random)
        if inner is not None:
            entries[at] = (number, kind, inner)
            return _written(entries)
    match random.randrange(7):
        case 0:
            del entries[at]
        case 1:
            entries.insert(random.randrange(len(entries) + 1), entries[at])
        case 2:
            other = random.randrange(len(entries))
            entries[at], entries[other] = entries[other], entries[at]
        case 3:
            entries[at] = (random.choice((number + 1, max(number - 1, 1), 99)), kind, value)
        case 4:
            entries[at] = (number, _VARINT, random.choice(_NUMBERS))
        case _ if isinstance(value, int):
            limit = {_FIXED64: 64, _FIXED32: 32}.get(kind, 64)
            entries[at] = (number, kind, random.choice(_NUMBERS) % 2**limit)
        case _:
            entries[at] = (number, kind, _changed(value, random))
    return _written(entries)


def _inside(value: bytes, random: Random) -> bytes | None:
    """Change what lies in a field: JSON, or a message."""
    if value[:1] == b"{":
        try:
            json.loads(value)
        except (ValueError, RecursionError):
            return None
        return mutated_json(value, random)
    return mutated_protobuf(value, random)


def _changed(value: int | bytes, random: Random) -> bytes:
    if not isinstance(value, bytes) or random.random() < 0.5:
        return random.choice(_TEXTS)
    if value and random.random() < 0.5:
        at = random.randrange(len(value))
        return value[:at] + random.randbytes(1) + value[at + 1 :]
    return value[: len(value) // 2] if random.random() < 0.5 else value + value


def _read(data: bytes) -> list[Entry] | None:
    """Return a message's fields; None if the bytes are no whole message."""
    entries: list[Entry] = []
    place = 0
    while place < len(data):
        tag, place = _number(data, place)
        number, kind = tag >> 3, tag & 7
        if number == 0 or place > len(data):
            return None
        if kind == _VARINT:
            value, place = _number(data, place)
            entries.append((number, kind, value))
        elif kind == _BYTES:
            size, place = _number(data, place)
            entries.append((number, kind, data[place : place + size]))
            place += size
        elif kind in (_FIXED64, _FIXED32):
            size = 8 if kind == _FIXED64 else 4
            entries.append((number, kind, int.from_bytes(data[place : place + size], "little")))
            place += size
        else:
            return None
        if place > len(data):
            return None
    return entries


def _number(data: bytes, place: int) -> tuple[int, int]:
    value = shift = 0
    while place < len(data) and shift < 70:
        byte = data[place]
        value, place, shift = value | (byte & 0x7F) << shift, place + 1, shift + 7
        if byte < 0x80:
            return value, place
    return 0, len(data) + 1


def _written(entries: list[Entry]) -> bytes:
    parts: list[bytes] = []
    for number, kind, value in entries:
        parts.append(_varint(number << 3 | kind))
        if isinstance(value, bytes):
            parts += [_varint(len(value)), value]
        elif kind == _VARINT:
            parts.append(_varint(value))
        else:
            parts.append(value.to_bytes(8 if kind == _FIXED64 else 4, "little"))
    return b"".join(parts)


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])
