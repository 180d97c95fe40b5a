"""`read_scan` reads NIfTI volumes, compressed or not, no larger than their header says."""

from __future__ import annotations

import gzip
import math
import struct
import zlib
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from ..errors import InputError, first_line
from ..limits import UNPACKED_BYTES
from .values import Tensor

_GZIP = b"\x1f\x8b"
_LONGEST = 540  # bytes of the longer of the two headers
_ROOM = 1 << 20  # bytes between the header and the values, for notes in the file
_PIECE = 1 << 20


class _Places(NamedTuple):
    """Where the fields of one version of the header lie, with their types for `struct`."""

    version: int
    extents: tuple[str, int]
    bits: int
    start: tuple[str, int]
    first: int


# By the length of the header, which is its first field.
_PLACES = {
    348: _Places(1, ("8h", 40), 72, ("f", 108), 352),
    540: _Places(2, ("8q", 16), 14, ("q", 168), 544),
}


@dataclass(frozen=True)
class _Header:
    """What a header says of a file's size.

    Attributes:
        shape: Extents.
        bits: Bits of a value.
        start: Bytes before the first value.
        version: 1 or 2.
    """

    shape: tuple[int, ...]
    bits: int
    start: float
    version: int

    @property
    def length(self) -> int:
        """Bytes of the whole file."""
        return int(self.start) + math.prod(self.shape) * self.bits // 8


def read_scan(file: str) -> Tensor:
    """Read a NIfTI volume with nibabel: float32 [x, y, z], after an axis of channels if it has one.

    Of a compressed file no more is unpacked than its header asks for.

    Raises:
        InputError: It is no scan, too large, or nibabel is missing.
        OSError: The file cannot be read.
    """
    try:
        nibabel: Any = import_module("nibabel")
    except ImportError:
        raise InputError(
            f'{file} needs nibabel: pip install "graftcam[nifti]", or write the array as .npy'
        ) from None
    with Path(file).open("rb") as opened:
        compressed = opened.read(2) == _GZIP
        opened.seek(0)
        try:
            # A file with the ending .nii.gz may also be one that nobody compressed.
            stream: Any = gzip.GzipFile(fileobj=opened) if compressed else opened
            data, version = _bounded(file, stream)
            kind = nibabel.Nifti1Image if version == 1 else nibabel.Nifti2Image
            with np.errstate(all="ignore"):  # values beyond float32 become infinite
                image = kind.from_bytes(data)
                values = np.asarray(image.dataobj, np.float32)
            spacing = tuple(float(one) for one in image.header.get_zooms()[:3])
        except InputError:
            raise
        except Exception as error:  # nibabel's exceptions share no base
            raise InputError(f"{file} is no NIfTI scan: {first_line(error)}") from error
    if values.ndim == 4:
        values = np.moveaxis(values, -1, 0)
    right = all(np.isfinite(one) and one > 0 for one in spacing)
    return Tensor(values, spacing if right else None, "mm")


def _bounded(file: str, stream: BinaryIO) -> tuple[bytes, int]:
    """Return a file's bytes, as many as its header says, and the header's version."""
    start = stream.read(_LONGEST)
    header = _header(start)
    shape, size = header.shape, math.prod(header.shape) * max(4, header.bits // 8)
    if not 2 <= len(shape) <= 4 or min(shape) < 1 or size > UNPACKED_BYTES:
        raise InputError(f"{file} is a scan of shape {list(shape)}; write a volume as .npy")
    if not 0 <= header.start <= _ROOM:
        raise InputError(f"{file} has its values {header.start:.0f} bytes behind its start")
    try:
        data = start + _read(stream, header.length - len(start))
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise InputError(f"{file} is cut off or damaged: {first_line(error)}") from error
    if len(data) < header.length:
        raise InputError(f"{file} is cut off: its header promises shape {list(shape)}")
    return data, header.version


def _read(stream: BinaryIO, count: int) -> bytes:
    """Read up to ``count`` bytes in pieces: memory for all at once would be taken first."""
    pieces: list[bytes] = []
    while count > 0 and (piece := stream.read(min(count, _PIECE))):
        pieces.append(piece)
        count -= len(piece)
    return b"".join(pieces)


def _header(data: bytes) -> _Header:
    """Read the fields of a header, of either version and byte order."""
    for order in "<>":
        place = _PLACES.get(struct.unpack_from(f"{order}i", data)[0])
        if place is None:
            continue
        count, *extents = struct.unpack_from(order + place.extents[0], data, place.extents[1])
        (bits,) = struct.unpack_from(f"{order}h", data, place.bits)
        (start,) = struct.unpack_from(order + place.start[0], data, place.start[1])
        if not 1 <= count <= len(extents):
            raise ValueError(f"it has {count} axes")
        # As nibabel does: values never lie in the header.
        return _Header(tuple(extents[:count]), bits, max(start, place.first), place.version)
    raise ValueError("it has no header")
