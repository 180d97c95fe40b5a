"""Files of every colour type and orientation, written by Pillow, are read as Pillow reads them."""

from __future__ import annotations

import io
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image, ImageOps

from graftcam.runtime.errors import ImageError
from graftcam.runtime.inputs.image_files import read_image
from graftcam.runtime.inputs.images import as_rgb

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


COLOURS = {
    "RGB": [".png", ".tif", ".bmp", ".webp", ".gif", ".jpg"],
    "L": [".png", ".tif", ".bmp", ".gif", ".jpg"],
    "P": [".png", ".tif", ".bmp", ".gif"],
    "1": [".png", ".tif", ".bmp", ".jpg"],
    "CMYK": [".tif", ".jpg"],
    "YCbCr": [".tif", ".jpg"],
}


@pytest.mark.parametrize(("mode", "suffix"), [(m, s) for m in COLOURS for s in COLOURS[m]])
def test_files_of_any_colour_type_become_rgb(tmp_path: Path, mode: str, suffix: str) -> None:
    path = tmp_path / f"bild-ä-画{suffix}"
    shading = np.linspace(0, 255, 16 * 24 * 3).reshape(16, 24, 3).astype(np.uint8)
    Image.fromarray(shading).convert(mode).save(path)
    expected = np.asarray(Image.open(path).convert("RGB")).astype(int)
    # CMYK and YCbCr are turned into RGB by formulas whose rounding is free.
    assert np.abs(read_image(path) - expected).max() <= (1 if mode in ("CMYK", "YCbCr") else 0)


def transparent() -> Image.Image:
    """Return noise in a hidden colour whose alpha falls from left to right."""
    image = Image.fromarray(RGB)
    fading = np.linspace(255, 0, RGB.shape[1]).astype(np.uint8)
    image.putalpha(Image.fromarray(np.tile(fading, (RGB.shape[0], 1))))
    return image


def on_white(image: Image.Image) -> np.ndarray:
    white = Image.new("RGBA", image.size, "white")
    return np.asarray(Image.alpha_composite(white, image.convert("RGBA")).convert("RGB"))


@pytest.mark.parametrize("suffix", [".png", ".webp", ".tif"])
def test_what_is_transparent_is_seen_on_white(tmp_path: Path, suffix: str) -> None:
    path, image = tmp_path / f"a{suffix}", transparent()
    image.save(path, lossless=True)
    # Two roundings of one product.
    assert np.abs(read_image(path).astype(int) - on_white(image)).max() <= 1
    assert read_image(path)[:, -1].min() == 255
    np.testing.assert_array_equal(as_rgb(np.asarray(image)), read_image(path))


def test_transparent_palettes_grey_and_turned_images_are_seen_on_white(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    palette = Image.fromarray(RGB).convert("P")
    palette.save(path, transparency=int(np.asarray(palette)[0, 0]))
    np.testing.assert_array_equal(read_image(path), on_white(Image.open(path)))
    assert (read_image(path)[0, 0] == 255).all()
    grey = transparent().convert("LA")
    grey.save(path)
    assert np.abs(read_image(path).astype(int) - on_white(grey)).max() <= 1
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        transparent().save(path, exif=exif)
        upright = ImageOps.exif_transpose(Image.open(path))
        assert np.abs(read_image(path).astype(int) - on_white(upright)).max() <= 1


def test_sixteen_bits_are_scaled_down_to_eight(tmp_path: Path) -> None:
    path = tmp_path / "deep.png"
    deep = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    Image.fromarray(deep).save(path)
    assert read_image(path)[0, :, 0].tolist() == [0, 0, 1, 128, 255]
    colours = RGB.astype(np.uint16) * 257
    for suffix in (".png", ".tif"):
        cv2.imwrite(str(path.with_suffix(suffix)), colours[:, :, ::-1])
        np.testing.assert_array_equal(read_image(path.with_suffix(suffix)), RGB)
    cv2.imwrite(str(path), np.dstack([colours[:, :, ::-1], colours[:, :, 0] * 0]))
    assert read_image(path).min() == 255  # all transparent


@pytest.mark.parametrize("suffix", [".jpg", ".png", ".webp"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_applied(tmp_path: Path, orientation: int, suffix: str) -> None:
    path = tmp_path / f"turned{suffix}"
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(RGB).resize((48, 32)).save(path, exif=exif)
    upright = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"))
    # Decoders of JPEG and WebP differ by a level.
    assert np.abs(read_image(path).astype(int) - upright).max() <= 2


def test_what_follows_an_image_in_its_file_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "motion.jpg"
    small, large = (Image.fromarray(RGB).resize((side, side)) for side in (8, 64))
    thumbnail = io.BytesIO()
    small.save(thumbnail, "JPEG")
    exif = Image.Exif()
    exif[0x9C9B] = thumbnail.getvalue()  # its end of image comes first
    large.save(path, exif=exif, progressive=True)
    whole = path.read_bytes()
    assert whole.count(b"\xff\xd9") == 2
    expected = read_image(path)
    path.write_bytes(whole + b"\0ftypmp4\xff\xda\x00\x08film")
    np.testing.assert_array_equal(read_image(path), expected)
    path.write_bytes(whole[:-2])
    with pytest.raises(ImageError, match="cut off"):
        read_image(path)
