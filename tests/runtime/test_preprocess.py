"""Pixel values and crops are those of Pillow, torchvision and timm."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image

from graftcam.runtime.errors import ImageError
from graftcam.runtime.inputs import preprocess as module
from graftcam.runtime.inputs.preprocess import Placement, place, prepare, resize
from support.artifacts import preprocess, resize_model
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
    picture = photo(*before)
    mine = resize(picture.transpose(2, 0, 1), after, interpolation).transpose(1, 2, 0)
    pillow = np.asarray(Image.fromarray(picture).resize(after[::-1], PILLOW[interpolation]))
    difference = np.abs(mine.astype(int) - pillow)
    # One grey level where the fixed-point sums of the two round a tie apart.
    assert difference.max() <= 1
    assert difference.mean() < 0.02


def test_nearest_takes_the_pixel_under_each_centre() -> None:
    picture = photo(50, 70)
    mine = resize(picture.transpose(2, 0, 1), (33, 91), "nearest").transpose(1, 2, 0)
    pillow = np.asarray(Image.fromarray(picture).resize((91, 33), PILLOW["nearest"]))
    np.testing.assert_array_equal(mine, pillow)


def test_plain_opencv_would_be_far_off() -> None:
    picture = photo(480, 640)
    pillow = np.asarray(Image.fromarray(picture).resize((341, 256), PILLOW["bilinear"]))
    opencv = cv2.resize(picture, (341, 256), interpolation=cv2.INTER_LINEAR)
    assert np.abs(opencv.astype(int) - pillow).mean() > 2


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_the_shipped_resize_models_are_what_their_script_makes(mode: str) -> None:
    shipped = Path(module.__file__).with_name(f"resize_{mode}.onnx").read_bytes()
    assert shipped == resize_model(mode)
    assert len(shipped) < 500


@pytest.mark.parametrize("shape", [(60, 100), (101, 60), (37, 41), (20, 90), (41, 32)])
@pytest.mark.parametrize("size", [32, 45])
def test_shorter_is_torchvisions_resize_and_centre_crop(shape: tuple[int, int], size: int) -> None:
    transforms = pytest.importorskip("torchvision.transforms")
    mean, std = [0.485, 0.456, 0.406], [0.229, 0.224, 0.225]
    picture = photo(*shape)
    theirs = transforms.Compose(
        [
            transforms.Resize(40),
            transforms.CenterCrop(size),
            transforms.ToTensor(),
            transforms.Normalize(mean, std),
        ]
    )(Image.fromarray(picture)).numpy()
    record = preprocess(size=[size, size], mean=mean, std=std)
    mine = prepare(record, picture, place(record, *shape))
    assert mine.shape == theirs.shape
    assert mine.dtype == np.float32
    # One grey level (see above) is 1/255/0.224 after normalisation.
    assert np.abs(mine - theirs).max() < 1.01 / 255 / 0.224
    # Ties are frequent where the scale is a simple fraction (32 to 40 pixels).
    assert np.abs(mine - theirs).mean() < 0.1 / 255 / 0.224


@pytest.mark.parametrize("shape", [(60, 100), (101, 60), (37, 41), (333, 11)])
def test_longer_is_timms_keep_ratio_with_longest_one(shape: tuple[int, int]) -> None:
    timm = pytest.importorskip("timm.data.transforms")
    theirs = timm.ResizeKeepRatio(40, longest=1.0)(Image.fromarray(photo(*shape)))
    mine = place(preprocess(resize_mode="longer"), *shape).resized
    assert mine == (theirs.height, theirs.width)


@pytest.mark.parametrize(
    ("changes", "shape", "expected"),
    [
        ({}, (60, 100), Placement((60, 100), (40, 66), (4, 17), (32, 32))),
        ({"resize_mode": "longer"}, (60, 100), Placement((60, 100), (24, 40), (-4, 4), (32, 32))),
        (
            {"resize": [36, 50], "resize_mode": "exact"},
            (60, 100),
            Placement((60, 100), (36, 50), (2, 9), (32, 32)),
        ),
        ({"resize": None}, (20, 50), Placement((20, 50), (20, 50), (-6, 9), (32, 32))),
        # torchvision rounds half a pixel to even: (33 - 32) / 2 gives 0, (35 - 32) / 2 gives 2.
        ({"resize": None}, (33, 35), Placement((33, 35), (33, 35), (0, 2), (32, 32))),
        ({"resize": None}, (31, 29), Placement((31, 29), (31, 29), (0, -1), (32, 32))),
    ],
)
def test_where_the_crop_lies(
    changes: dict[str, object], shape: tuple[int, int], expected: Placement
) -> None:
    assert place(preprocess(**changes), *shape) == expected


def test_padding_is_black_before_normalisation() -> None:
    record = preprocess(resize=None, mean=[0.5, 0.5, 0.5], std=[0.25, 0.25, 0.25])
    values = prepare(record, np.full((20, 32, 3), 255, np.uint8), place(record, 20, 32))
    assert values.shape == (3, 32, 32)
    assert (values[:, :6] == -2).all()
    assert (values[:, 6:26] == 2).all()
    assert (values[:, 26:] == -2).all()


def test_channels_can_come_last() -> None:
    record = preprocess(resize=None)
    picture = photo(32, 32)
    values = prepare(preprocess(resize=None, layout="nhwc"), picture, place(record, 32, 32))
    np.testing.assert_allclose(values, picture / 255, rtol=1e-6)


def test_a_greyscale_model_gets_luma() -> None:
    record = preprocess(resize=None, scale=1.0, mean=[0.0], std=[1.0])
    picture = photo(32, 32)
    values = prepare(record, picture, place(record, 32, 32))
    luma = np.asarray(Image.fromarray(picture).convert("L"))
    assert values.shape == (1, 32, 32)
    assert np.abs(values[0] - luma).max() <= 1


def test_a_picture_too_narrow_to_resize_is_refused() -> None:
    with pytest.raises(
        ImageError, match="1 x 500000 pixels would be resized to 40 x 20000000; crop"
    ):
        place(preprocess(), 500000, 1)
