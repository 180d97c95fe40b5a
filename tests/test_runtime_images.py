"""What counts as a picture, and what is said when something does not."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from graftcam.runtime.errors import ImageError
from graftcam.runtime.images import as_rgb, is_batch, picture_names, read_image

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


def test_arrays_become_rgb_copies() -> None:
    np.testing.assert_array_equal(as_rgb(RGB), RGB)
    np.testing.assert_array_equal(as_rgb(np.dstack([RGB, RGB[:, :, :1]])), RGB)
    grey = np.dstack([RGB[:, :, 0]] * 3)
    np.testing.assert_array_equal(as_rgb(RGB[:, :, 0]), grey)
    np.testing.assert_array_equal(as_rgb(RGB[:, :, :1]), grey)
    assert not np.shares_memory(as_rgb(RGB), RGB)
    assert as_rgb(RGB[::-1, :, ::-1]).flags.c_contiguous


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (RGB / 255, "picture has type float64; pass a path or an RGB uint8 array"),
        (RGB.astype(np.uint16), "picture has type uint16; .*values 0 to 255"),
        (RGB.transpose(2, 0, 1), r"picture has shape \[3, 6, 9\]; .*\[H, W, 3\]"),
        (RGB[:, :0], r"picture has shape \[6, 0, 3\]"),
        (RGB[0, 0], r"picture has shape \[3\]"),
        (
            Image.fromarray(RGB),
            r"a Image is no picture; .*numpy.asarray\(picture.convert\('RGB'\)\)",
        ),
        (None, "a NoneType is no picture"),
    ],
)
def test_other_arrays_are_refused_with_the_remedy(image: object, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        as_rgb(image)


@pytest.mark.parametrize("mode", ["RGB", "RGBA", "L", "P"])
def test_files_of_any_colour_type_become_rgb(tmp_path: Path, mode: str) -> None:
    path = tmp_path / "bild-ä-画.png"
    picture = Image.fromarray(RGB).convert(mode)
    if mode == "RGBA":
        picture.putalpha(Image.fromarray(RGB[:, :, 0]))
    picture.save(path)
    expected = Image.fromarray(RGB) if mode == "RGBA" else picture.convert("RGB")
    np.testing.assert_array_equal(read_image(path), np.asarray(expected))


def test_sixteen_bits_are_scaled_down_to_eight(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    deep = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    Image.fromarray(deep).save(path)
    assert read_image(path)[0, :, 0].tolist() == [0, 0, 1, 128, 255]


def test_exif_orientation_is_applied(tmp_path: Path) -> None:
    path = tmp_path / "turned.jpg"
    exif = Image.Exif()
    exif[0x0112] = 6  # "rotate 90 degrees clockwise to display"
    halves = np.zeros((16, 32, 3), np.uint8)
    halves[:, :16] = 255
    Image.fromarray(halves).save(path, exif=exif, quality=100)
    turned = read_image(path)
    assert turned.shape == (32, 16, 3)
    assert turned[:14].min() > 250
    assert turned[18:].max() < 5


def test_unreadable_files_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"cannot read .*nothing.png: No such file"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(ImageError, match=r"cannot read .*: Is a directory"):
        read_image(tmp_path)
    for name, data in (("empty.png", b""), ("text.jpg", b"no picture")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match=rf"{name} is no picture that OpenCV can decode"):
            read_image(tmp_path / name)


def test_a_batch_is_a_list_a_tuple_or_a_four_dimensional_array() -> None:
    assert is_batch([RGB])
    assert is_batch(("a.png",))
    assert is_batch(RGB[None])
    assert not is_batch(RGB)
    assert not is_batch("a.png")


def test_names_are_file_stems_and_never_repeat() -> None:
    images = ["a/photo.jpg", Path("b/photo.png"), RGB, "photo-2.jpg", RGB]
    assert picture_names(images) == ["photo", "photo-2", "image", "photo-2-2", "image-2"]
