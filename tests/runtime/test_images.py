"""Which objects are images, and the error for those that are not."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from graftcam.runtime.errors import ImageError
from graftcam.runtime.inputs.examples import ExampleReader
from graftcam.runtime.inputs.image_files import read_image
from graftcam.runtime.inputs.images import as_rgb
from graftcam.runtime.session.session import Session

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


def test_arrays_become_rgb_copies() -> None:
    np.testing.assert_array_equal(as_rgb(RGB), RGB)
    grey = np.dstack([RGB[:, :, 0]] * 3)
    np.testing.assert_array_equal(as_rgb(RGB[:, :, 0]), grey)
    np.testing.assert_array_equal(as_rgb(RGB[:, :, :1]), grey)
    assert not np.shares_memory(as_rgb(RGB), RGB)
    assert as_rgb(RGB[::-1, :, ::-1]).flags.c_contiguous


@pytest.mark.parametrize(
    ("image", "message"),
    [
        (RGB[:, :0], r"image has shape \[6, 0, 3\]; pass uint8 \[H, W, 3\]"),
        (RGB[0, 0], r"image has shape \[3\]"),
        (np.array(["a"]), "image has type <U1; pass a path"),
        (None, "a NoneType is no image; pass a path, .* or an RGB uint8 array"),
        ([RGB], "a list is no image"),
    ],
)
def test_what_is_no_image_is_refused_with_the_remedy(image: object, message: str) -> None:
    with pytest.raises(ImageError, match=message):
        as_rgb(image)


def test_unreadable_files_are_one_clear_error(tmp_path: Path) -> None:
    with pytest.raises(ImageError, match=r"cannot read .*nothing.png: No such file"):
        read_image(tmp_path / "nothing.png")
    with pytest.raises(ImageError, match=r"cannot read .*: Is a directory"):
        read_image(tmp_path)
    for name, data in (("empty.png", b""), ("text.jpg", b"no image")):
        (tmp_path / name).write_bytes(data)
        with pytest.raises(ImageError, match=rf"{name} is no image that OpenCV can decode"):
            read_image(tmp_path / name)


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp", ".tif", ".bmp"])
@pytest.mark.parametrize("share", [0.1, 0.5, 0.98])
def test_a_file_that_is_cut_off_is_no_image(tmp_path: Path, suffix: str, share: float) -> None:
    path = tmp_path / f"cut{suffix}"
    noise = np.random.default_rng(0).integers(0, 256, (64, 80, 3), np.uint8)
    cv2.imwrite(str(path), noise)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    message = (
        "is cut off: the end of the file is missing" if suffix in (".jpg", ".png") else "decode"
    )
    with pytest.raises(ImageError, match=message):
        read_image(path)


def test_a_batch_is_a_list_a_tuple_or_a_four_dimensional_array(artifact: Path) -> None:
    split = ExampleReader(Session(artifact)).split
    assert split([RGB]) == [RGB]
    assert split(("a.png",)) == ["a.png"]
    np.testing.assert_array_equal(split(RGB[None]), [RGB])
    assert split(RGB) is None
    assert split("a.png") is None
