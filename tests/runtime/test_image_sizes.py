"""The size of an image is known from its header, before anything is decoded."""

from __future__ import annotations

import re
import struct
import zlib
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.errors import ImageError, InputError
from graftcam.runtime.inputs import image_files
from graftcam.runtime.inputs.image_files import decode_image, read_image
from graftcam.runtime.inputs.image_sizes import image_size
from support.images import photo

SIDE = 20_000
HUGE = (SIDE, SIDE + 1)


def png(width: int, height: int) -> bytes:
    header = b"IHDR" + struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    chunks = (header, b"IDAT" + zlib.compress(b""), b"IEND")
    parts = [struct.pack(">I", len(c) - 4) + c + struct.pack(">I", zlib.crc32(c)) for c in chunks]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def jpeg(width: int, height: int, before: bytes = b"") -> bytes:
    frame = b"\xff\xc2" + struct.pack(">HBHHB", 11, 8, height, width, 1) + b"\1\x11\0"
    return b"\xff\xd8" + before + b"\xff\xff" + frame + b"\xff\xda\0\2\xff\xd9"


def thumbnail(small: bytes) -> bytes:
    return b"\xff\xe1" + struct.pack(">H", len(small) + 2) + small


def webp(kind: bytes, body: bytes) -> bytes:
    chunk = kind + struct.pack("<I", len(body)) + body
    return b"RIFF" + struct.pack("<I", len(chunk) + 4) + b"WEBP" + chunk


def three(number: int) -> bytes:
    return number.to_bytes(3, "little")


def tiff(order: str, entries: list[tuple[int, int, int]], big: bool = False) -> bytes:
    start = b"II" if order == "<" else b"MM"
    if big:
        head = start + struct.pack(f"{order}HHHQQ", 43, 8, 0, 16, len(entries))
        rows = [struct.pack(f"{order}HHQQ", tag, 16, 1, value) for tag, _, value in entries]
        return head + b"".join(rows)
    head = start + struct.pack(f"{order}HIH", 42, 8, len(entries))
    return head + b"".join(
        struct.pack(f"{order}HHI", tag, kind, 1)
        + struct.pack(f"{order}H2x" if kind == 3 else f"{order}I", value)
        for tag, kind, value in entries
    )


def box(kind: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + kind + body


def coded(width: int, height: int, components: int = 3) -> bytes:
    sizes = (width + 5, height + 7, 5, 7, width, height, 0, 0)
    return struct.pack(">I2H8IH", 0xFF4FFF51, 47, 0, *sizes, components)


def extents(width: int, height: int) -> bytes:
    return box(b"ispe", struct.pack(">III", 0, width, height))


SIGNATURE = b"\0\0\0\x0cjP  \r\n\x87\n"
LINES = [(256, 3, HUGE[0]), (257, 4, HUGE[1])]
PROPERTIES = box(b"iprp", box(b"ipco", extents(8, 8) + extents(*HUGE)))
TRACK = box(b"tkhd", bytes(76) + struct.pack(">II", HUGE[0] << 16, HUGE[1] << 16))
HEADERS: dict[str, bytes] = {
    "png": png(*HUGE),
    "jpeg": jpeg(*HUGE),
    "jpeg behind a thumbnail": jpeg(*HUGE, before=thumbnail(jpeg(8, 8))),
    # Of the marker TEM, which has no length, the two bytes that follow are none.
    "jpeg behind a marker alone": jpeg(*HUGE, before=b"\xff\x01"),
    "webp lossy": webp(b"VP8 ", b"\0\0\0\x9d\x01\x2a" + struct.pack("<HH", 16_383, 16_000)),
    "webp lossless": webp(
        b"VP8L", b"\x2f" + struct.pack("<I", (HUGE[0] % 16384 - 1) | (16_000 - 1) << 14)
    ),
    "webp canvas": webp(b"VP8X", bytes(4) + three(HUGE[0] - 1) + three(HUGE[1] - 1)),
    "bmp": b"BM" + bytes(12) + struct.pack("<Iii", 40, *HUGE),
    "bmp from the top": b"BM" + bytes(12) + struct.pack("<Iii", 40, HUGE[0], -HUGE[1]),
    "bmp of OS/2": b"BM" + bytes(12) + struct.pack("<IHH", 12, *HUGE),
    "tiff": tiff("<", LINES),
    "tiff of Motorola": tiff(">", LINES),
    "tiff, big": tiff("<", LINES, big=True),
    "tiff of large tiles": tiff(
        "<", [(256, 3, 8), (257, 3, 8), (322, 4, HUGE[0]), (323, 4, HUGE[1])]
    ),
    "tiff with a width given twice": tiff("<", [(256, 3, 8), *LINES]),
    "gif": b"GIF89a" + struct.pack("<HH", *HUGE),
    "pgm": b"P5 # a comment, 8 8\n%d\n#\n %d 255\n" % HUGE,
    "jp2": SIGNATURE + box(b"ftyp", b"jp2 ") + box(b"jp2c", coded(*HUGE)),
    "jp2 with a smaller one before": (
        SIGNATURE + box(b"free", coded(8, 8)) + box(b"jp2c", coded(*HUGE))
    ),
    "j2k": coded(*HUGE),
    "j2k of many components": coded(8, 8, 16_384),
    "avif": box(b"ftyp", b"avif") + box(b"meta", bytes(4) + PROPERTIES),
    "avif of frames": box(b"ftyp", b"avis") + box(b"moov", box(b"trak", TRACK)),
}  # fmt: skip


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_of_gigapixels_is_refused_and_never_decoded(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = image_size(HEADERS[name])
    assert found is not None
    if "webp l" not in name and "components" not in name:
        assert found == HUGE
    pixels = found[0] * found[1]
    monkeypatch.setattr(image_files.cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ImageError, match=rf"x has {found[0]} x {found[1]} pixels, more than \d"):
        decode_image(HEADERS[name], "x", max_pixels=pixels - 1)


@pytest.mark.parametrize("name", HEADERS)
def test_a_header_that_ends_early_has_no_size(name: str) -> None:
    whole = HEADERS[name]
    for end in range(0, len(whole), 1 + len(whole) // 60):
        image_size(whole[:end])  # raises nothing


@pytest.mark.parametrize(
    "suffix",
    [".png", ".jpg", ".webp", ".bmp", ".tif", ".gif", ".ppm", ".pgm", ".pbm", ".jp2", ".avif"],
)  # fmt: skip
def test_the_size_is_the_one_that_opencv_decodes(suffix: str) -> None:
    grey = suffix in (".pgm", ".pbm")
    image: Any = photo(61, 40)[:, :, 0] if grey else photo(61, 40)
    if not cv2.haveImageWriter(f"a{suffix}"):
        pytest.skip("this OpenCV does not write it")
    done, data = cv2.imencode(suffix, image)
    assert done
    assert image_size(data.tobytes()) == (40, 61)
    assert decode_image(data.tobytes(), "a").shape == (61, 40, 3)
    with pytest.raises(ImageError, match="a has 40 x 61 pixels, more than 2,439; shrink it, or"):
        decode_image(data.tobytes(), "a", max_pixels=40 * 61 - 1)


@pytest.mark.parametrize("suffix", [".hdr", ".ras", ".pam", ".pfm"])
def test_formats_whose_size_is_unknown_are_not_decoded(suffix: str) -> None:
    if not cv2.haveImageWriter(f"a{suffix}"):
        pytest.skip("this OpenCV does not write it")
    image = photo(8, 8)
    done, data = cv2.imencode(
        suffix, image / np.float32(255) if suffix in (".hdr", ".pfm") else image
    )
    assert done
    with pytest.raises(ImageError, match="no image that OpenCV can decode; convert it to PNG"):
        decode_image(data.tobytes(), "a")


@pytest.mark.parametrize("kind", ["jp2", "avif"])
def test_very_many_boxes_are_no_image(kind: str) -> None:
    start = SIGNATURE if kind == "jp2" else box(b"ftyp", b"avif")
    end = HEADERS[kind][len(start) :]
    assert image_size(start + end) == HUGE
    assert image_size(start + box(b"free", b"") * 2000 + end) is None


def test_a_file_too_long_for_its_pixels_is_not_read(tmp_path: Path) -> None:
    with (tmp_path / "a.bmp").open("wb") as file:
        file.truncate(1 << 31)
    with pytest.raises(ImageError, match=r"at most 867\.1 MB are read"):
        read_image(tmp_path / "a.bmp")


def test_want_of_memory_is_an_error_of_the_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def fails(*_: object) -> None:
        raise MemoryError

    done, data = cv2.imencode(".png", photo(8, 8))
    assert done
    monkeypatch.setattr(image_files.cv2, "imdecode", fails)
    with pytest.raises(ImageError, match="a needs more memory than there is; shrink it"):
        decode_image(data.tobytes(), "a")


def test_every_way_to_give_an_image_has_the_limit_of_the_explainer(
    artifact: Path, tmp_path: Path
) -> None:
    pillow = pytest.importorskip("PIL.Image")
    path = tmp_path / "a.png"
    cv2.imwrite(str(path), photo(40, 50))
    explainer = Explainer(artifact, max_pixels=1999)
    with path.open("rb") as file, pillow.open(path) as opened:
        for given in (path, str(path), path.read_bytes(), file, opened, {"image": path}):
            with pytest.raises(ImageError, match="50 x 40 pixels, more than 1,999"):
                explainer.explain(given)
    assert explainer.explain(photo(40, 50)).classes  # pixels that are in memory already
    assert Explainer(artifact, max_pixels=2000).explain(path).classes
    with pytest.raises(InputError, match=re.escape("max_pixels=0 is out of range")):
        Explainer(artifact, max_pixels=0)


def test_a_chunk_longer_than_its_file_takes_no_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = png(8, 8)
    start = whole.index(b"IDAT") - 4
    monkeypatch.setattr(image_files.cv2, "imdecode", lambda *_: pytest.fail("decoded"))
    with pytest.raises(ImageError, match="a is cut off"):
        decode_image(whole[:start] + b"\xff\0\0\0" + whole[start + 4 :], "a")
