"""Images that are bytes or files, and arrays that are no images."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import cv2
import numpy as np
import pytest

from graftcam.runtime.errors import ImageError
from graftcam.runtime.inputs.images import as_array, as_rgb
from graftcam.runtime.inputs.names import image_name
from support.images import mended
from support.interpreter import python

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    cv2.imwrite(str(tmp_path / "photo.png"), RGB[:, :, ::-1])
    return tmp_path / "photo.png"


def test_bytes_and_files_are_decoded_like_paths(path: Path, tmp_path: Path) -> None:
    data = path.read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("photo.png", data)
    with path.open("rb") as file, zipfile.ZipFile(tmp_path / "a.zip").open("photo.png") as member:
        for image in (data, bytearray(data), memoryview(data), io.BytesIO(data), file, member):
            assert as_array(image) is None
            np.testing.assert_array_equal(as_rgb(image), RGB)
        assert image_name(file) == "photo"
    assert image_name(data) == image_name(io.BytesIO(data)) == "image"


def test_files_that_give_no_bytes_say_why(path: Path) -> None:
    with path.open("rb") as file:
        as_rgb(file)
        with pytest.raises(ImageError, match=r"photo.png has no bytes left .*\.seek\(0\)"):
            as_rgb(file)
    with pytest.raises(ImageError, match=r"cannot read .*photo.png: .*closed file"):
        as_rgb(file)
    with pytest.raises(ImageError, match="the file object gives str; open it with mode 'rb'"):
        as_rgb(io.StringIO("text"))
    with pytest.raises(ImageError, match="9 bytes is no image that OpenCV can decode"):
        as_rgb(b"no images")
    with pytest.raises(ImageError, match="the file object is cut off"):
        as_rgb(io.BytesIO(path.read_bytes()[:60]))


def test_arrays_that_are_no_images_are_refused_with_the_line_that_converts_them() -> None:
    for image, message in (
        (RGB / 255, r'type float64; pass \(image \* 255\).round\(\).astype\("uint8"\)'),
        (RGB.astype(np.float32), r'type float32; pass image.round\(\).astype\("uint8"\)'),
        (RGB.astype(np.int64), r'type int64; pass image.astype\("uint8"\)'),
        (RGB.astype(np.uint16) << 8, r'type uint16; pass \(image >> 8\).astype\("uint8"\)'),
        (RGB.transpose(2, 0, 1), r"shape \[3, 6, 9\]; pass image.transpose\(1, 2, 0\)"),
    ):
        with pytest.raises(ImageError, match=message) as caught:
            as_rgb(image)
        np.testing.assert_array_equal(as_rgb(mended(caught.value, {"image": image})), RGB)
    with pytest.raises(ImageError, match=r'type bool; pass \(image \* 255\).astype\("uint8"\)'):
        as_rgb(RGB > 100)
    with pytest.raises(ImageError, match=r"type float64; its values reach from -1.* before norm"):
        as_rgb(RGB / 127.5 - 1)
    with pytest.raises(ImageError, match=r"shape \[1, 6, 9, 3\]; it holds a batch: .*image\[0\]"):
        as_rgb(RGB[None])


def test_neither_package_is_imported_for_it() -> None:
    code = (
        "import sys; from graftcam.runtime.inputs.images import as_rgb; import numpy\n"
        "as_rgb(numpy.zeros((2, 2, 3), numpy.uint8))\n"
        "assert not {'PIL', 'torch', 'IPython'} & set(sys.modules)"
    )
    python(code)
