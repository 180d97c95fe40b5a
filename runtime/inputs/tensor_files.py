"""These functions read arrays from files: numpy's, and sound; for scans see `scans`."""

from __future__ import annotations

import io
import math
import struct
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, first_line, system_errors
from ..limits import ARRAY_BYTES, RIFF_CHUNKS, UNPACKED_BYTES
from ..reading import check_regular, read_file
from .scans import read_scan
from .values import Tensor

SUFFIXES = (".npy", ".npz", ".wav", ".nii", ".nii.gz")
"""Endings of the files that are tensors, not images."""

NPY = b"\x93NUMPY"
"""What the bytes of a ``.npy`` file begin with."""

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE  # WAVE's format tags


def is_tensor_file(path: object) -> bool:
    """Whether a path's name is that of a tensor; ``x.npz:entry`` names an entry."""
    return isinstance(path, (str, Path)) and _archive(str(path))[0].lower().endswith(SUFFIXES)


def read_tensor(path: str | Path) -> Tensor | dict[str, Tensor]:
    """Read a file of one array; of several named ones, for ``.npz`` with more than one entry.

    Sound is float32 [channels, samples], integers scaled to [-1, 1]; a scan is float32 with the
    file's axes x, y, z, after an axis for the channels if the file has one behind them.

    Raises:
        InputError: The file is missing, broken, too large, no regular file, or needs a package.
    """
    file, entry = _archive(str(path))
    suffix = next(suffix for suffix in reversed(SUFFIXES) if file.lower().endswith(suffix))
    check_regular(file, InputError, ARRAY_BYTES)
    with system_errors(InputError, f"cannot read {file}"):
        if suffix == ".npz":
            return _entries(file, entry)
        if suffix == ".npy":
            return Tensor(map_array(file))
        return _sound(file) if suffix == ".wav" else read_scan(file)


def map_array(file: str) -> NDArray[Any]:
    """Return the array of numbers of a ``.npy`` file, which is read where it is used.

    A header that promises more than the file has is refused before memory is taken, and Python's
    objects are never loaded.

    Raises:
        InputError: It is no array of numbers.
        OSError: The file cannot be read.
    """
    try:
        return np.lib.format.open_memmap(file, mode="r")
    except OSError:
        raise
    except Exception as error:  # what a header makes numpy and its parser raise
        raise InputError(f"{file} is no array of numbers: {first_line(error)}") from error


def _archive(path: str) -> tuple[str, str | None]:
    """Split ``x.npz:entry`` into file and entry."""
    file, colon, entry = path.rpartition(":")
    return (file, entry) if colon and file.lower().endswith(".npz") else (path, None)


def _entries(file: str, entry: str | None) -> Tensor | dict[str, Tensor]:
    try:
        with zipfile.ZipFile(file) as archive:
            infos = archive.infolist()
            size = sum(one.file_size for one in infos)
            if size > UNPACKED_BYTES:
                raise InputError(f"{file} unpacks to {size >> 20} MB; write a smaller one")
            by_name = {one.filename.removesuffix(".npy"): one for one in infos}
            if entry is not None and entry not in by_name:
                raise InputError(f"{file} has no entry '{entry}'; it has {', '.join(by_name)}")
            chosen = by_name if entry is None else {entry: by_name[entry]}
            found = {name: Tensor(_array(archive.read(one))) for name, one in chosen.items()}
    except (InputError, OSError):
        raise
    except Exception as error:  # what an entry makes zipfile, zlib and numpy raise
        raise InputError(f"{file} is no archive of arrays: {first_line(error)}") from error
    if not found:
        raise InputError(f"{file} is empty; write arrays with numpy.savez")
    return next(iter(found.values())) if len(found) == 1 else found


def decode_array(data: bytes, name: str) -> NDArray[Any]:
    """Return the array that the bytes of a ``.npy`` file hold.

    Args:
        data: The bytes, which may be fewer than their header says.
        name: What to call them in error messages.

    Raises:
        InputError: They are no array of numbers.
    """
    try:
        return _array(data)
    except Exception as error:  # what a header makes numpy and its parser raise
        raise InputError(f"{name} is no array of numbers: {first_line(error)}") from error


def _array(data: bytes) -> NDArray[Any]:
    """Return the array of an entry's bytes, which may be shorter than its header says."""
    stream = io.BytesIO(data)
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):  # later ones are for names of columns
        raise ValueError(f"version {version} of the format, which is not of numbers")
    formats = np.lib.format
    read = formats.read_array_header_1_0 if version[0] == 1 else formats.read_array_header_2_0
    shape, by_column, dtype = read(stream)
    if dtype.kind not in "biufc":
        raise ValueError(f"it holds {dtype}, no numbers")
    count = math.prod(shape)
    if min(shape, default=0) < 0 or count * dtype.itemsize > len(data) - stream.tell():
        raise ValueError(f"its header promises shape {shape}, and the data end before")
    values = np.frombuffer(data, dtype, count, stream.tell()) if count else np.zeros(0, dtype)
    return values.reshape(shape, order="F" if by_column else "C")


def _sound(file: str) -> Tensor:
    """Read WAVE: integers of 8 to 32 bits, or floats."""
    data = read_file(file, InputError, UNPACKED_BYTES)
    chunks = dict(_chunks(data)) if data[:4] == b"RIFF" and data[8:12] == b"WAVE" else {}
    header, samples = chunks.get(b"fmt ", b""), chunks.get(b"data")
    if len(header) < 16 or samples is None:
        raise InputError(f"{file} is no WAVE file; convert it to one")
    tag, channels, rate, _, block, bits = struct.unpack("<HHIIHH", header[:16])
    if tag == _EXTENSIBLE and len(header) >= 26:
        tag = struct.unpack("<H", header[24:26])[0]
    width = bits // 8
    known = (tag == _PCM and bits in (8, 16, 24, 32)) or (tag == _FLOAT and bits in (32, 64))
    if not (known and channels and rate and block == channels * width):
        raise InputError(
            f"{file} has WAVE format {tag} of {bits} bits; convert it to PCM of 16 bits"
        )
    samples = samples[: len(samples) // block * block]
    if not samples:
        raise InputError(f"{file} has no samples")
    if len(samples) // width * 4 > UNPACKED_BYTES:  # as float32
        raise InputError(f"{file} has {len(samples) // width:,} numbers; give a shorter sound")
    values = _floats(samples, width, tag).reshape(-1, channels).T
    return Tensor(np.ascontiguousarray(values), (1 / rate,), "s")


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the first chunks of a RIFF file by their names; the last one may be cut off."""
    found: list[tuple[bytes, bytes]] = []
    place = 12
    while place + 8 <= len(data) and len(found) < RIFF_CHUNKS:
        size = int.from_bytes(data[place + 4 : place + 8], "little")
        found.append((data[place : place + 4], data[place + 8 : place + 8 + size]))
        place += 8 + size + size % 2
    return found[::-1]  # of two chunks with one name, the first counts


def _floats(samples: bytes, width: int, tag: int) -> NDArray[np.float32]:
    """Convert samples to numbers from -1 to 1."""
    if tag == _FLOAT:
        return np.frombuffer(samples, f"<f{width}").astype(np.float32)
    if width == 1:  # the only width without a sign
        return (np.frombuffer(samples, np.uint8) / np.float32(128) - 1).astype(np.float32)
    # As the high bytes of 32 bits.
    padded = np.zeros((len(samples) // width, 4), np.uint8)
    padded[:, 4 - width :] = np.frombuffer(samples, np.uint8).reshape(-1, width)
    return (padded.view("<i4")[:, 0] / 2.0**31).astype(np.float32)
