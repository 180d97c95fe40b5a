"""Images that are Pillow's images or PyTorch's tensors."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from graftcam.runtime import Explainer
from graftcam.runtime.errors import ImageError
from graftcam.runtime.inputs.image_files import read_image
from graftcam.runtime.inputs.images import as_rgb
from graftcam.runtime.inputs.names import image_name
from support.images import mended

RGB = np.random.default_rng(0).integers(0, 256, (6, 9, 3), np.uint8)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    Image.fromarray(RGB).save(tmp_path / "photo.png")
    return tmp_path / "photo.png"


MODES = ["1", "L", "P", "RGB", "RGBX", "RGBA", "RGBa", "LA", "PA", "CMYK", "YCbCr", "HSV", "LAB"]


@pytest.mark.parametrize("mode", MODES)
def test_pillow_images_of_any_mode_are_seen_on_white(mode: str) -> None:
    alpha = np.linspace(255, 0, RGB[:, :, 0].size).reshape(6, 9)
    fading = np.dstack([RGB, alpha]).astype(np.uint8)
    image = Image.fromarray(fading)
    if mode == "LAB":
        image = Image.merge("LAB", Image.fromarray(RGB).split())
    elif mode != "RGBA":
        image = image.convert({"PA": "LA", "LA": "LA", "RGBa": "RGBa"}.get(mode, "RGB"))
        image = image.convert(mode)
    assert image.mode == mode
    expected = image.convert("RGBA" if image.has_transparency_data else "RGB")
    white = Image.new("RGBA", image.size, "white")
    expected = Image.alpha_composite(white, expected.convert("RGBA")).convert("RGB")
    assert np.abs(as_rgb(image).astype(int) - np.asarray(expected)).max() <= 1


def test_pillow_images_are_what_their_files_are(tmp_path: Path) -> None:
    palette = Image.fromarray(RGB).convert("P")
    palette.save(tmp_path / "a.png", transparency=int(np.asarray(palette)[0, 0]))
    deep = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    Image.fromarray(deep).save(tmp_path / "b.png")
    for name in ("a", "b"):
        with Image.open(tmp_path / f"{name}.png") as image:
            np.testing.assert_array_equal(as_rgb(image), read_image(tmp_path / f"{name}.png"))
            assert image_name(image) == name
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        for suffix in (".png", ".tif"):
            turned = tmp_path / f"turned{suffix}"
            Image.fromarray(RGB).save(turned, exif=exif)
            with Image.open(turned) as image:
                np.testing.assert_array_equal(as_rgb(image), read_image(turned))


def test_pillow_images_that_cannot_be_converted_say_why(path: Path) -> None:
    for mode in ("I", "F"):
        message = rf"mode '{mode}' has no fixed range .*convert\(\"L\"\)"
        with pytest.raises(ImageError, match=message):
            as_rgb(Image.fromarray(RGB).convert(mode))
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(path)
    cut = Image.open(io.BytesIO(path.read_bytes()[:6000]))
    with pytest.raises(ImageError, match="Pillow cannot convert its image of mode 'RGB'"):
        as_rgb(cut)


def test_tensors_have_channels_first(explainer: Explainer) -> None:
    tensor = torch.from_numpy(RGB.transpose(2, 0, 1).copy())
    np.testing.assert_array_equal(as_rgb(tensor), RGB)
    assert not np.shares_memory(as_rgb(tensor), tensor.numpy())
    grey = np.dstack([RGB[:, :, 0]] * 3)
    np.testing.assert_array_equal(as_rgb(tensor[:1]), grey)
    np.testing.assert_array_equal(as_rgb(tensor[0]), grey)
    rgba = torch.cat([tensor, torch.full_like(tensor[:1], 255)])
    np.testing.assert_array_equal(as_rgb(rgba), RGB)
    np.testing.assert_array_equal(as_rgb(tensor.requires_grad_(False)), RGB)
    batch = torch.stack([tensor, tensor.flip(2)])
    first, second = explainer.explain(list(batch))
    assert (first.name, second.name) == ("image", "image-2")
    np.testing.assert_array_equal(second.image, RGB[:, ::-1])
    assert len(explainer.explain(batch)) == 2
    np.testing.assert_array_equal(explainer.explain(tensor).image, RGB)


def test_tensors_that_are_no_images_are_refused_with_the_line_that_converts_them() -> None:
    tensor = torch.from_numpy(RGB.transpose(2, 0, 1).copy())
    for image, message in (
        (
            tensor / 255,
            r"image has type float32; pass \(image \* 255\).round\(\).to\(torch.uint8\)",
        ),
        ((tensor / 255).requires_grad_(), r"pass \(image \* 255\).round\(\).to\(torch.uint8\)"),
        (tensor.float(), r"image has type float32; pass image.round\(\).to\(torch.uint8\)"),
        (tensor.permute(1, 2, 0), r"shape \[6, 9, 3\]; pass image.permute\(2, 0, 1\)"),
    ):
        with pytest.raises(ImageError, match=message) as caught:
            as_rgb(image)
        names = {"image": image, "torch": torch}
        np.testing.assert_array_equal(as_rgb(mended(caught.value, names)), RGB)
    with pytest.raises(ImageError, match=r"from -1 to .* before normalisation"):
        as_rgb(tensor / 127.5 - 1)
    with pytest.raises(ImageError, match=r"shape \[1, 3, 6, 9\]; it holds a batch: .*image\[0\]"):
        as_rgb(tensor[None])
    with pytest.raises(ImageError, match=r"shape \[5, 6, 9\]; pass uint8 \[3, H, W\]"):
        as_rgb(torch.zeros(5, 6, 9, dtype=torch.uint8))
