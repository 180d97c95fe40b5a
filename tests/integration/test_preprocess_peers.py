"""Pixel values and crops are those of Pillow, torchvision and timm."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
from PIL import Image
from timm.data.transforms import ResizeKeepRatio
from torchvision import transforms

from graftcam.runtime.inputs.preprocess import place, prepare, resize
from support.artifacts import preprocess
from support.images import photo

PILLOW = {
    "nearest": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "bicubic": Image.Resampling.BICUBIC,
}


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param((480, 640), (256, 341), id="down"),
        pytest.param((333, 500), (224, 224), id="squash"),
        pytest.param((100, 80), (320, 256), id="up"),
        pytest.param((64, 64), (64, 200), id="stretch"),
    ],
)
def test_resize_gives_pillows_pixels(
    before: tuple[int, int], after: tuple[int, int], interpolation: str
) -> None:
    image = photo(*before)
    mine = resize(image.transpose(2, 0, 1), after, interpolation).transpose(1, 2, 0)
    pillow = np.asarray(Image.fromarray(image).resize(after[::-1], PILLOW[interpolation]))
    difference = np.abs(mine.astype(int) - pillow)
    # One grey level where the fixed-point sums of the two round a tie apart.
    assert difference.max() <= 1
    assert difference.mean() < 0.02


def test_nearest_takes_the_pixel_under_each_centre() -> None:
    image = photo(50, 70)
    mine = resize(image.transpose(2, 0, 1), (33, 91), "nearest").transpose(1, 2, 0)
    pillow = np.asarray(Image.fromarray(image).resize((91, 33), PILLOW["nearest"]))
    np.testing.assert_array_equal(mine, pillow)


def test_plain_opencv_would_be_far_off() -> None:
    image = photo(480, 640)
    pillow = np.asarray(Image.fromarray(image).resize((341, 256), PILLOW["bilinear"]))
    opencv = cv2.resize(image, (341, 256), interpolation=cv2.INTER_LINEAR)
    assert np.abs(opencv.astype(int) - pillow).mean() > 2


@pytest.mark.parametrize("shape", [(60, 100), (101, 60), (37, 41), (20, 90), (41, 32)])
@pytest.mark.parametrize("size", [32, 45])
def test_shorter_is_torchvisions_resize_and_centre_crop(shape: tuple[int, int], size: int) -> None:
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    image = photo(*shape)
    theirs = transforms.Compose(
        [
            transforms.Resize(40),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )(Image.fromarray(image)).numpy()
    record = preprocess(size=[size, size], mean=mean, std=std)
    mine = prepare(record, image, place(record, *shape))
    assert mine.shape == theirs.shape
    assert mine.dtype == np.float32
    # One grey level (see above) is 1/255/0.224 after normalisation.
    assert np.abs(mine - theirs).max() < 1.01 / 255 / 0.224
    # Ties are frequent where the scale is a simple fraction (32 to 40 pixels).
    assert np.abs(mine - theirs).mean() < 0.1 / 255 / 0.224


@pytest.mark.parametrize("shape", [(60, 100), (101, 60), (37, 41), (333, 11)])
def test_longer_is_timms_keep_ratio_with_longest_one(shape: tuple[int, int]) -> None:
    theirs = ResizeKeepRatio(40, longest=1.0)(Image.fromarray(photo(*shape)))
    mine = place(preprocess(resize_mode="longer"), *shape).resized
    assert mine == (theirs.height, theirs.width)
