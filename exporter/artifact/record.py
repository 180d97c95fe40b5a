"""These functions exchange the record in a file's metadata, and leave all other bytes as they are.

An ONNX file is a protobuf message, whose metadata come after the graph, so that another record
changes only the last bytes of the file.
"""

from __future__ import annotations

import hashlib
import mmap
from pathlib import Path

from ...runtime.custody.digests import DIGESTS_KEY
from ...runtime.custody.entries import find_entry, splice, write_entries
from ...runtime.errors import CustodyError
from ...runtime.reading import map_file
from ...runtime.spec import METADATA_KEY

_CHUNK = 1 << 20


def exchange_record(path: Path, text: str) -> None:
    """Write another record into a file.

    Raises:
        CustodyError: The file cannot be read.
        OSError: It cannot be written.
        ValueError: It has no record.
    """
    with map_file(path, CustodyError) as data:
        _check(path, data)
    write_entries(path, {METADATA_KEY: text})


def digest_with(path: Path, text: str) -> str:
    """SHA-256 that a file would have with another record, and without its own digests.

    Those follow from the graph, and from heads that may not be written yet.

    Raises:
        CustodyError: The file cannot be read.
        ValueError: It has no record.
    """
    found = hashlib.sha256()
    with map_file(path, CustodyError) as data:
        _check(path, data)
        start, rest = splice(data, {METADATA_KEY: text, DIGESTS_KEY: None})
        for place in range(0, start, _CHUNK):
            found.update(data[place : min(place + _CHUNK, start)])
    found.update(rest)
    return found.hexdigest()


def _check(path: Path, data: mmap.mmap) -> None:
    if find_entry(data, METADATA_KEY) is None:
        raise ValueError(f"{path.name} has no {METADATA_KEY!r} in its metadata")
