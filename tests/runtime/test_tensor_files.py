"""Files that hold what a model takes: arrays, sound, scans."""

from __future__ import annotations

import gzip
import struct
import sys
import wave
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftcam.runtime.errors import InputError
from graftcam.runtime.inputs.tensor_files import is_tensor_file, read_tensor
from graftcam.runtime.inputs.values import Tensor
from support.sound import SAMPLES, sound


def read(path: Path | str) -> Tensor:
    found = read_tensor(path)
    assert isinstance(found, Tensor)
    return found


def test_the_end_of_a_name_tells_files_of_numbers() -> None:
    for name in ("a.npy", "a.NPY", "a.npz", "a.npz:left", "a.wav", "a.nii", "a.b.nii.gz"):
        assert is_tensor_file(name)
        assert is_tensor_file(Path(name))
    for name in ("a.png", "npy", "a.gz", "a.npy:left", b"a.npy", None):
        assert not is_tensor_file(name)


def test_arrays_come_from_npy_and_entries_from_npz_by_name(tmp_path: Path) -> None:
    array = np.arange(6.0).reshape(2, 3)
    np.save(tmp_path / "a.npy", array)
    np.testing.assert_array_equal(read(tmp_path / "a.npy").values, array)
    np.savez(tmp_path / "one.npz", only=array)
    np.testing.assert_array_equal(read(tmp_path / "one.npz").values, array)
    np.savez(tmp_path / "two.npz", left=array, right=array + 1)
    both = read_tensor(tmp_path / "two.npz")
    assert isinstance(both, dict)
    assert list(both) == ["left", "right"]
    np.testing.assert_array_equal(read(f"{tmp_path}/two.npz:right").values, array + 1)
    with pytest.raises(InputError, match="no entry 'centre'; it has left, right"):
        read_tensor(f"{tmp_path}/two.npz:centre")


class Bomb:
    """Unpickling it would end the test."""

    def __reduce__(self) -> tuple[Any, ...]:
        return (sys.exit, ("unpickled",))


@pytest.mark.parametrize("suffix", [".npy", ".npz"])
def test_pickles_are_not_loaded(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"a{suffix}"
    array = np.array([Bomb()], object)
    np.save(path, array) if suffix == ".npy" else np.savez(path, a=array)
    with pytest.raises(InputError, match=r"is no (array of numbers|archive of arrays)"):
        read_tensor(path)


def _long_header(path: Path) -> None:
    """A header of a terabyte, with four bytes behind it."""
    np.save(path, np.zeros(1, np.float32))
    path.write_bytes(path.read_bytes().replace(b"(1,), }            ", b"(274877906944,), } "))


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.npy", lambda path: path.write_bytes(b"text"), "is no array of numbers"),
        ("a.npy", lambda path: path.write_bytes(b""), "is no array of numbers"),
        ("a.npy", _long_header, "is no array of numbers"),
        ("a.npz", lambda path: path.write_bytes(b"text"), "is no archive of arrays"),
        ("a.npz", np.savez, "is empty"),
        ("a.wav", lambda path: path.write_bytes(b"RIFF1234WAVEfmt "), "is no WAVE file"),
        ("a.wav", lambda path: path.write_bytes(b"text"), "is no WAVE file"),
        ("none.npy", lambda path: None, "cannot read .*none.npy: No such file"),
        ("folder.npy", lambda path: path.mkdir(), "cannot read .*folder.npy: Is a directory"),
    ],
)
def test_broken_files_are_refused_with_the_reason(
    tmp_path: Path, name: str, make: Callable[[Path], Any], message: str
) -> None:
    make(tmp_path / name)
    with pytest.raises(InputError, match=message):
        read_tensor(tmp_path / name)


def test_an_archive_that_unpacks_to_gigabytes_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    np.savez_compressed(tmp_path / "a.npz", a=np.zeros(1 << 16))
    monkeypatch.setattr("graftcam.runtime.inputs.tensor_files.UNPACKED_BYTES", 1 << 16)
    with pytest.raises(InputError, match=r"unpacks to .* MB; write a smaller one"):
        read_tensor(tmp_path / "a.npz")


def entry(header: bytes, data: bytes = bytes(4)) -> bytes:
    """An array as an archive holds it, with this header."""
    header = header.ljust(117) + b"\n"
    return b"\x93NUMPY\1\0" + len(header).to_bytes(2, "little") + header + data


HEADER = b"{'descr': '%s', 'fortran_order': False, 'shape': %s}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            entry(HEADER % (b"<f4", b"(274877906944,)")),
            "promises shape .*, and the data end before",
        ),
        (entry(HEADER % (b"<f4", b"(-1,)")), "promises shape"),
        (entry(HEADER % (b"|O", b"(1,)")), "holds object, no numbers"),
        (entry(HEADER % (b"<U1", b"(1,)")), "no numbers"),
        (entry(b"(" * 100), "is no archive of arrays"),
        (entry(b"["), "is no archive of arrays"),
        (b"\x93NUMPY\3\0", "version .* of the format"),
        (b"text", "is no archive of arrays"),
        (b"", "is no archive of arrays"),
    ],
)
def test_an_entry_whose_header_lies_is_refused_before_memory_is_taken(
    tmp_path: Path, content: bytes, message: str
) -> None:
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("a.npy", content)
    with pytest.raises(InputError, match=message):
        read_tensor(tmp_path / "a.npz")
    (tmp_path / "a.npy").write_bytes(content)
    if b"<U1" not in content:  # an array, and refused where numbers are needed
        with pytest.raises(InputError, match="is no array of numbers"):
            read_tensor(tmp_path / "a.npy")


def test_entries_of_every_order_and_no_values_are_read(tmp_path: Path) -> None:
    columns, empty = np.asfortranarray(np.arange(6.0).reshape(2, 3)), np.zeros((0, 3), np.int8)
    np.savez_compressed(tmp_path / "a.npz", columns=columns, empty=empty, one=np.float32(2))
    found = read_tensor(tmp_path / "a.npz")
    assert isinstance(found, dict)
    np.testing.assert_array_equal(found["columns"].values, columns)
    assert found["empty"].values.shape == (0, 3)
    assert found["one"].values == 2


def test_an_archive_under_the_name_of_an_array_is_refused(tmp_path: Path) -> None:
    np.savez(tmp_path / "a.npz", a=np.zeros(2))
    (tmp_path / "a.npz").rename(tmp_path / "a.npy")
    with pytest.raises(InputError, match="is no array of numbers"):
        read_tensor(tmp_path / "a.npy")


def test_a_sound_of_very_many_chunks_is_not_walked_through(tmp_path: Path) -> None:
    path = sound(tmp_path / "a.wav", 16)
    whole = path.read_bytes()
    path.write_bytes(whole[:12] + b"junk\0\0\0\0" * 100 + whole[12:])
    assert read(path).values.shape == SAMPLES.shape
    path.write_bytes(whole[:12] + b"junk\0\0\0\0" * 2000 + whole[12:])
    with pytest.raises(InputError, match="is no WAVE file"):
        read_tensor(path)


@pytest.mark.parametrize(("bits", "tag"), [(8, 1), (16, 1), (24, 1), (32, 1), (32, 3), (64, 3)])
def test_sound_of_every_width_is_scaled_to_one(tmp_path: Path, bits: int, tag: int) -> None:
    found = read(sound(tmp_path / "a.wav", bits, tag))
    np.testing.assert_array_equal(found.values, SAMPLES)
    assert (found.values.dtype, found.spacing, found.unit) == (np.float32, (1 / 8000,), "s")


def test_sound_is_what_pythons_own_module_writes(tmp_path: Path) -> None:
    with wave.open(str(tmp_path / "a.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(np.array([1 << 14, -(1 << 15)], "<i2").tobytes())
    found = read(tmp_path / "a.wav")
    np.testing.assert_array_equal(found.values, [[0.5, -1]])
    assert found.spacing == (1 / 16000,)


def test_sound_in_another_coding_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="WAVE format 6 of 8 bits; convert it to PCM of 16 bits"):
        read_tensor(sound(tmp_path / "a.wav", 8, tag=6))
    empty = sound(tmp_path / "b.wav", 16, samples=np.zeros((1, 0)))
    with pytest.raises(InputError, match="has no samples"):
        read_tensor(empty)


def test_scans_keep_their_axes_and_spacing(tmp_path: Path) -> None:
    nibabel: Any = pytest.importorskip("nibabel")
    volume = np.arange(24, dtype=np.int16).reshape(2, 3, 4)
    image = nibabel.Nifti1Image(volume, np.diag([1, 1, 2.5, 1]))
    image.header.set_slope_inter(2, 1)
    for name in ("a.nii", "a.nii.gz"):
        nibabel.save(image, tmp_path / name)
        found = read(tmp_path / name)
        assert found.values.shape == (2, 3, 4)
        assert found.values.dtype == np.float32
        assert (found.spacing, found.unit) == ((1.0, 1.0, 2.5), "mm")
        # The header's scale is applied.
        np.testing.assert_allclose(found.values, np.asarray(nibabel.load(tmp_path / name).dataobj))
    channels = nibabel.Nifti1Image(np.zeros((2, 3, 4, 5), np.float32), np.eye(4))
    nibabel.save(channels, tmp_path / "c.nii")
    assert read(tmp_path / "c.nii").values.shape == (5, 2, 3, 4)
    (tmp_path / "d.nii").write_bytes(b"text")
    with pytest.raises(InputError, match=r"d.nii is no NIfTI scan"):
        read_tensor(tmp_path / "d.nii")


def scan(path: Path, extents: tuple[int, ...], start: float = 352, size: int = 400) -> None:
    """Write a compressed file whose header names these extents, and zeros."""
    header = bytearray(348)
    struct.pack_into("<i", header, 0, 348)
    struct.pack_into("<8h", header, 40, len(extents), *extents, *[1] * (7 - len(extents)))
    struct.pack_into("<hh", header, 70, 2, 8)  # uint8
    struct.pack_into("<f", header, 108, start)
    header[344:348] = b"n+1\0"
    path.write_bytes(gzip.compress(bytes(header) + bytes(size)))


def test_of_a_compressed_scan_no_more_is_unpacked_than_its_header_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("nibabel")
    path = tmp_path / "a.nii.gz"
    read_bytes = gzip.GzipFile.read
    asked: list[int] = []

    def counted(file: gzip.GzipFile, size: int = -1) -> bytes:
        asked.append(size)
        return read_bytes(file, size)

    monkeypatch.setattr(gzip.GzipFile, "read", counted)
    scan(path, (2, 3, 4), size=1 << 24)
    assert read(path).values.shape == (2, 3, 4)
    assert 0 <= min(asked) <= max(asked) <= 540
    asked.clear()
    for extents, start, message in (
        ((32767, 32767, 32767), 352, "is a scan of shape"),
        ((-2, 3, 4), 352, "is a scan of shape"),
        ((5,), 352, "is a scan of shape"),
        ((2, 3, 4), 1e9, "has its values 1000000000 bytes behind its start"),
        ((2, 3, 4), float("nan"), "has its values nan bytes"),
        ((200, 200, 200), 352, "is cut off: its header promises shape"),
    ):
        scan(path, extents, start)
        with pytest.raises(InputError, match=message):
            read_tensor(path)
    assert max(asked) <= 1 << 20
    scan(path, (2, 3, 4))
    path.write_bytes(path.read_bytes()[:40])
    with pytest.raises(InputError, match="is no NIfTI scan"):
        read_tensor(path)


def test_without_nibabel_the_command_to_type_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "a.nii.gz").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(InputError, match=r'nibabel: pip install "graftcam\[nifti\]"'):
        read_tensor(tmp_path / "a.nii.gz")
