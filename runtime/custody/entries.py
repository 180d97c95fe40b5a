"""These functions read and write entries of a file's metadata, and leave all other bytes alone.

An ONNX file is a protobuf message. Each entry of its metadata is one of its fields, with a key and
a text.
"""

from __future__ import annotations

import contextlib
import mmap
from collections.abc import Generator, Mapping
from pathlib import Path

from ..errors import CustodyError, SpecError
from ..onnx_file.protobuf import BYTES, Field, field_of, fields
from ..reading import map_file
from ..spec import METADATA_KEY, Spec

_METADATA = 14  # ModelProto.metadata_props, a message of the strings key (1) and value (2)
_KEY, _VALUE = 1, 2


def find_entry(data: mmap.mmap, key: str) -> tuple[Field, str] | None:
    """Return where an entry lies in a file, and its text; None if there is none.

    Of several the last counts, as in ONNX Runtime.

    Raises:
        ValueError: The file is no protobuf message, or the text is no UTF-8.
    """
    found: tuple[Field, str] | None = None
    for one in fields(data):
        if one.number == _METADATA and one.kind == BYTES:
            inside = fields(data, one.start, one.end)
            parts = {part.number: data[part.start : part.end] for part in inside}
            if parts.get(_KEY) == key.encode():
                found = one, parts.get(_VALUE, b"").decode()
    return found


def splice(data: mmap.mmap, texts: Mapping[str, str | None]) -> tuple[int, bytes]:
    """Return where a file changes if it gets other entries, and the bytes from there on.

    Args:
        data: The file.
        texts: The new texts by key; None removes an entry. One that the file lacks comes last.
    """
    known = {key: found[0] for key in texts if (found := find_entry(data, key)) is not None}
    begin = end = min((one.begin for one in known.values()), default=len(data))
    parts: list[bytes] = []
    for key, one in sorted(known.items(), key=lambda pair: pair[1].begin):
        parts += [data[end : one.begin], _encoded(key, texts[key])]
        end = one.end
    parts.append(data[end:])
    parts += [_encoded(key, text) for key, text in texts.items() if key not in known]
    return begin, b"".join(parts)


def write_entries(path: Path, texts: Mapping[str, str | None]) -> None:
    """Change entries of a file; see `splice`.

    Raises:
        CustodyError: The file cannot be read.
        OSError: It cannot be written.
        ValueError: It is no ONNX file.
    """
    with map_file(path, CustodyError) as data:
        begin, rest = splice(data, texts)
    with path.open("r+b") as file:
        file.seek(begin)
        file.truncate()
        file.write(rest)


def read_entry(path: Path, key: str) -> str | None:
    """Return the text of an entry; None if the file has none.

    Raises:
        CustodyError: The file cannot be read, or is no ONNX file.
    """
    with reading(path), map_file(path, CustodyError) as data:
        found = find_entry(data, key)
    return None if found is None else found[1]


def read_spec(path: Path) -> Spec:
    """Return an artifact's metadata, without ONNX Runtime.

    Raises:
        CustodyError: As `read_entry`.
        SpecError: It is no artifact.
    """
    text = read_entry(path, METADATA_KEY)
    if text is None:
        raise SpecError(f"{path} has no graftcam metadata; make one with `graftcam export`")
    try:
        return Spec.from_json(text)
    except SpecError as error:
        raise SpecError(f"{path}: {error}") from None


@contextlib.contextmanager
def reading(path: Path) -> Generator[None]:
    """Raise errors in a file's bytes as CustodyError."""
    try:
        yield
    except (ValueError, IndexError) as error:
        reason = "it ends within a number" if isinstance(error, IndexError) else error
        raise CustodyError(
            f"{path} is no ONNX file, or damaged: {reason}; copy it again"
        ) from error


def _encoded(key: str, text: str | None) -> bytes:
    if text is None:
        return b""
    return field_of(_METADATA, field_of(_KEY, key.encode()) + field_of(_VALUE, text.encode()))
