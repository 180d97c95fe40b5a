"""These functions read arrays from files: numpy's, sound, and the scans of NIfTI."""

from __future__ import annotations

import struct
import zipfile
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, system_errors
from ..session.providers import first_line
from .values import Tensor

SUFFIXES = (".npy", ".npz", ".wav", ".nii", ".nii.gz")
"""Endings of the files that are tensors, not images."""

MOST_BYTES = 1 << 32  # of an unpacked file: more is no example for a model

_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE  # WAVE's format tags


def is_tensor_file(path: object) -> bool:
    """Whether a path's name is that of a tensor; ``x.npz:entry`` names an entry."""
    return isinstance(path, (str, Path)) and _archive(str(path))[0].lower().endswith(SUFFIXES)


def read_tensor(path: str | Path) -> Tensor | dict[str, Tensor]:
    """Read a file of one array; of several named ones, for ``.npz`` with more than one entry.

    Sound is float32 [channels, samples], integers scaled to [-1, 1]; a scan is float32 with the
    file's axes x, y, z, after an axis for the channels if the file has one behind them.

    Raises:
        InputError: The file is missing, broken, too large, or needs a package.
    """
    file, entry = _archive(str(path))
    suffix = next(suffix for suffix in reversed(SUFFIXES) if file.lower().endswith(suffix))
    with system_errors(InputError, f"cannot read {file}"):
        Path(file).open("rb").close()
        if suffix == ".npz":
            return _entries(file, entry)
        if suffix == ".npy":
            return Tensor(_numpy(file))
        return _sound(file) if suffix == ".wav" else _scan(file)


def _archive(path: str) -> tuple[str, str | None]:
    """Split ``x.npz:entry`` into file and entry."""
    file, colon, entry = path.rpartition(":")
    return (file, entry) if colon and file.lower().endswith(".npz") else (path, None)


def _numpy(file: str) -> NDArray[Any]:
    try:
        # Mapped: a header that promises more than the file has is refused before memory is taken.
        return np.load(file, mmap_mode="r", allow_pickle=False)
    except (ValueError, EOFError, OverflowError) as error:
        raise InputError(f"{file} is no array of numbers: {first_line(error)}") from error


def _entries(file: str, entry: str | None) -> Tensor | dict[str, Tensor]:
    try:
        with zipfile.ZipFile(file) as archive:
            size = sum(one.file_size for one in archive.infolist())
        if size > MOST_BYTES:
            raise InputError(f"{file} unpacks to {size >> 20} MB; write a smaller one")
        with np.load(file, allow_pickle=False) as arrays:
            names = list(arrays.files)
            if entry is not None and entry not in names:
                raise InputError(f"{file} has no entry '{entry}'; it has {', '.join(names)}")
            found = {name: Tensor(arrays[name]) for name in ([entry] if entry else names)}
    except (ValueError, EOFError, KeyError, zipfile.BadZipFile) as error:
        raise InputError(f"{file} is no archive of arrays: {first_line(error)}") from error
    if not found:
        raise InputError(f"{file} is empty; write arrays with numpy.savez")
    return next(iter(found.values())) if len(found) == 1 else found


def _sound(file: str) -> Tensor:
    """Read WAVE: integers of 8 to 32 bits, or floats."""
    data = Path(file).read_bytes()
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
    values = _floats(samples, width, tag).reshape(-1, channels).T
    return Tensor(np.ascontiguousarray(values), (1 / rate,), "s")


def _chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    """Return the chunks of a RIFF file by their names; the last one may be cut off."""
    found: list[tuple[bytes, bytes]] = []
    place = 12
    while place + 8 <= len(data):
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


def _scan(file: str) -> Tensor:
    """Read a NIfTI volume with nibabel."""
    try:
        nibabel: Any = import_module("nibabel")
    except ImportError:
        raise InputError(
            f'{file} needs nibabel: pip install "graftcam[nifti]", or write the array as .npy'
        ) from None
    try:
        image = nibabel.load(file)
        shape = tuple(int(extent) for extent in image.shape)
        if not 2 <= len(shape) <= 4 or 4 * int(np.prod(shape, dtype=object)) > MOST_BYTES:
            raise InputError(f"{file} is a scan of shape {list(shape)}; write a volume as .npy")
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
