"""A mutant is a file changed in a few places, in bytes or in the terms of its format."""

from __future__ import annotations

import io
import re
import struct
import zipfile
import zlib
from collections.abc import Callable, Sequence
from random import Random
from typing import Literal, get_args

from hostile.mutate_json import mutated_json
from hostile.mutate_protobuf import mutated_protobuf

Form = Literal["bytes", "protobuf", "json", "lines", "png", "zip"]
FORMS: tuple[Form, ...] = get_args(Form)

_MOST_STEPS = 4
_NUMBERS = (0, 1, 0x7F, 0x80, 0xFF, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_WORDS = (
    b"", b"\0", b"\n", b"\r\n", b"\x1b[2J", b"\xff\xfe\x80", b"\xef\xbb\xbf", "\u202e".encode(),
    b"-1", b"0", b"1e999", b"nan", b"inf", b"9" * 5000, b"..", b"../../x", b"/etc/passwd",
    b"--help", b"[" * 3000,
    b"true", b"[]", b"{}", b'""', b"=", b"'", b"\\", b"a" * 300,
)  # fmt: skip


def mutant(data: bytes, form: Form, random: Random, others: Sequence[bytes] = ()) -> bytes:
    """Return ``data`` changed in one to four places.

    Args:
        data: A file that is right.
        form: Its format.
        random: Decides the places and the changes.
        others: Further files of the format, parts of which may be put into this one.
    """
    for _ in range(random.randint(1, _MOST_STEPS)):
        # Damage as well, whatever the format: truncated and overwritten files are common.
        change = _CHANGES[form] if random.random() < 0.8 else _of_bytes
        data = change(data, random, others)
    return data


def _of_bytes(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Flip, overwrite, insert, remove, repeat or splice."""
    place = random.randrange(len(data) + 1)
    until = min(len(data), place + random.choice((1, 2, 4, 16, 256)))
    match random.randrange(8):
        case 0 if place < len(data):
            return (
                data[:place] + bytes([data[place] ^ 1 << random.randrange(8)]) + data[place + 1 :]
            )
        case 1:
            return data[:place] + random.randbytes(until - place) + data[until:]
        case 2:
            return data[:place] + data[until:]
        case 3:
            return data[:until] + data[place:until] * random.choice((1, 3, 50)) + data[until:]
        case 4:
            return data[:place]
        case 5:
            order = random.choice("<>")
            width = random.choice("BHI")
            number = random.choice(_NUMBERS) % 256 ** struct.calcsize(width)
            packed = struct.pack(order + width, number)
            return data[:place] + packed + data[place + len(packed) :]
        case 6 if others:
            other = random.choice(others)
            return data[:place] + other[random.randrange(len(other) + 1) :]
        case _:
            return data[:place] + random.choice(_WORDS) + data[until:]


def _of_lines(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Change a line, or a word of it, of a text."""
    lines = data.split(b"\n")
    at = random.randrange(len(lines))
    match random.randrange(5):
        case 0:
            del lines[at]
        case 1:
            lines.insert(at, random.choice(lines))
        case 2:
            lines[at] = random.choice(_WORDS)
        case 3 if others:
            lines.insert(at, random.choice(random.choice(others).split(b"\n")))
        case _:
            words = re.split(rb"([\s=,:\t\"\[\]{}]+)", lines[at])
            words[random.randrange(len(words))] = random.choice(_WORDS)
            lines[at] = b"".join(words)
    return b"\n".join(lines)


def _of_png(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Change a chunk and write its right checksum, which would otherwise end the reading."""
    chunks: list[tuple[bytes, bytes]] = []
    place = 8
    while place + 8 <= len(data):
        size = int.from_bytes(data[place : place + 4], "big")
        chunks.append((data[place + 4 : place + 8], data[place + 8 : place + 8 + size]))
        place += 12 + size
    if not chunks:
        return _of_bytes(data, random, others)
    at = random.randrange(len(chunks))
    kind, content = chunks[at]
    if kind == b"IHDR" and random.random() < 0.7:
        fields = list(struct.unpack(">IIBBBBB", content[:13].ljust(13, b"\0")))
        which = random.randrange(7)
        limit = 1 << 32 if which < 2 else 256
        fields[which] = random.choice((*_NUMBERS, 3, 4, 16, 60_000)) % limit
        content = struct.pack(">IIBBBBB", *fields)
    else:
        content = _of_bytes(content, random, others)
    chunks[at] = (kind, content)
    if random.random() < 0.1:
        chunks.insert(random.randrange(len(chunks)), random.choice(chunks))
    whole = b"".join(
        struct.pack(">I", len(part)) + name + part + struct.pack(">I", zlib.crc32(name + part))
        for name, part in chunks
    )
    return data[:8] + whole


def _of_zip(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    """Change a member of an archive, its name, or leave it out."""
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = [(one.filename, archive.read(one)) for one in archive.infolist()]
    except (zipfile.BadZipFile, OSError, EOFError, ValueError, NotImplementedError, RuntimeError,
            zlib.error):  # fmt: skip
        members = []
    if not members:
        return _of_bytes(data, random, others)
    at = random.randrange(len(members))
    name, content = members[at]
    match random.randrange(6):
        case 0:
            del members[at]
        case 1:
            members[at] = (
                random.choice(("../x", "/x", "a" * 300, name + "\n", name.upper())),
                content,
            )
        case 2:
            members[at] = (name, random.choice(members)[1])
        case _:
            members[at] = (name, _of_bytes(content, random, others))
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_STORED) as archive:
        for member, part in members:
            archive.writestr(zipfile.ZipInfo(member), part)
    return packed.getvalue()


def _of_json(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    return mutated_json(data, random) or _of_bytes(data, random, others)


def _of_protobuf(data: bytes, random: Random, others: Sequence[bytes]) -> bytes:
    return mutated_protobuf(data, random) or _of_bytes(data, random, others)


_CHANGES: dict[Form, Callable[[bytes, Random, Sequence[bytes]], bytes]] = {
    "bytes": _of_bytes, "protobuf": _of_protobuf, "json": _of_json, "lines": _of_lines,
    "png": _of_png, "zip": _of_zip,
}  # fmt: skip
