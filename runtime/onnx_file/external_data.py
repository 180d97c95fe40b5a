"""`check_external_data` checks the files that an ONNX file names for its weights.

A file may say that the numbers of a tensor lie in another file, from one byte on. Libraries differ
in what they let it name; some have read any file of the machine. So this is checked before one of
them opens the model: the other file lies in the model's folder, links followed, is a regular file,
and has the bytes that the tensor's type and shape take.
"""

from __future__ import annotations

import math
import re
import stat
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from .messages import Message, RefusedError, inside, integers, texts
from .protobuf import BYTES, fields

# TensorProto.DataType: bits of an element. Strings (8) have no size.
BITS = {
    1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 14: 64,
    15: 128, 16: 16, 17: 8, 18: 8, 19: 8, 20: 8, 21: 4, 22: 4, 23: 4, 24: 8, 25: 2, 26: 2,
    27: 6, 28: 6,
}  # fmt: skip
_DIMS, _TYPE, _NAME, _ENTRIES = 1, 2, 8, 13  # of TensorProto
_KEY, _VALUE = 1, 2  # of StringStringEntryProto
_WORD = b"location"  # every tensor with its numbers elsewhere has this key
_SMALL = 1 << 16  # bytes of a message that is searched for the word instead of walked
_OFTEN = 4  # times that the tensors of a model may use the same bytes: some share them
_NUMBER = re.compile(r"[0-9]{1,18}")
_AGAIN = "export the model again"


class External(NamedTuple):
    """A tensor whose numbers lie in another file.

    Attributes:
        name: Its name; may be empty.
        location: The file, as the model names it.
        offset: The byte where the numbers begin.
        length: Their bytes, if the model says so.
        size: The bytes that its type and shape take.
    """

    name: str
    location: str
    offset: int
    length: int | None
    size: int


def check_external_data(model: Message, path: Path) -> list[str]:
    """Check all files that the model in ``path`` names, and return them as it names them.

    Raises:
        RefusedError: A file cannot be what the model says; the message says which and why.
    """
    found = list(_externals(model))
    sizes = {one.location: _bytes_of(one, path) for one in found}
    for one in found:
        if one.length not in (None, one.size):
            raise RefusedError(
                f"has {one.length} bytes for tensor {one.name!r}, whose type and shape take "
                f"{one.size}; {_AGAIN}"
            )
        if one.offset + one.size > sizes[one.location]:
            raise RefusedError(
                f"stores its weights in {one.location[:80]!r}, which is truncated; put the whole "
                f"file beside {path.name}"
            )
    total, there = sum(one.size for one in found), sum(sizes.values())
    if total > _OFTEN * there:
        raise RefusedError(f"has {total} bytes of tensors in files of {there} bytes; {_AGAIN}")
    return list(sizes)


def _externals(model: Message) -> Iterator[External]:
    """Yield the tensors whose numbers lie in another file, in whatever holds them."""
    pending = [model]
    while pending:
        message = pending.pop()
        if len(message.data) < _SMALL and _WORD not in bytes(message.data):
            continue
        if message.kind == "tensor":
            found = external_of(message.data)
            if found is not None:
                yield found
        pending += inside(message)


def external_of(data: memoryview) -> External | None:
    """Read where the numbers of a TensorProto lie; None if they lie in the model's own file.

    Raises:
        RefusedError: It says so twice, or its type, shape or numbers make no sense.
    """
    said: dict[str, str] = {}
    for one in fields(data):
        if one.number == _ENTRIES and one.kind == BYTES:
            entry = data[one.start : one.end]
            keys, values = texts(entry, _KEY), texts(entry, _VALUE)
            # Readers differ in which of two values they take.
            if len(keys) != 1 or len(values) > 1 or keys[0] in said:
                raise RefusedError(f"says twice where the numbers of a tensor lie; {_AGAIN}")
            said[keys[0]] = "".join(values)
    if not said:
        return None
    name, dims = "".join(texts(data, _NAME)[-1:]), integers(data, _DIMS)
    kind = next(iter(integers(data, _TYPE)[-1:]), 0)
    if kind not in BITS or min(dims, default=0) < 0:
        raise RefusedError(
            f"has the tensor {name!r} of type {kind} and shape {dims[:8]} in another file; {_AGAIN}"
        )
    size = -(-math.prod(dims) * BITS[kind] // 8)
    offset, length = (_number(name, key, said.get(key)) for key in ("offset", "length"))
    return External(name, said.get("location", ""), offset or 0, length, size)


def _number(name: str, key: str, text: str | None) -> int | None:
    if text is None:
        return None
    if not _NUMBER.fullmatch(text):
        raise RefusedError(f"has the {key} {text[:40]!r} for tensor {name!r}; {_AGAIN}")
    return int(text)


def _bytes_of(one: External, path: Path) -> int:
    """Bytes of the file that a tensor names.

    Raises:
        RefusedError: It lies outside the model's folder, or is no file.
    """
    location, where = one.location, f"stores tensor {one.name!r} in {one.location[:80]!r}"
    beside = "keep weights in a file beside the model"
    parts = re.split(r"[\\/]", location)  # Windows' separator, too: the model may be read there
    if not parts[0] or ".." in parts or ":" in parts[0] or "\0" in location:
        raise RefusedError(f"{where}, which is no place in its own folder; {beside}")
    try:
        real = path.parent.joinpath(*location.split("/")).resolve()
        status = real.stat()
        # Of a model that is a link itself, as in the cache of a hub, its own folder counts as well.
        folders = path.parent.resolve(), path.resolve().parent
    except (OSError, RuntimeError):  # links in a circle, before Python 3.13
        raise RefusedError(
            f"stores its weights in {location[:80]!r}, which is missing; put the whole file beside "
            f"{path.name}"
        ) from None
    if not any(real.is_relative_to(folder) for folder in folders):
        raise RefusedError(f"{where}, a link out of its own folder; {beside}")
    if not stat.S_ISREG(status.st_mode):
        raise RefusedError(f"{where}, which is no file; {beside}")
    return status.st_size
