"""Where the crop lies, and what the model is fed of it."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graftcam.runtime.errors import ImageError, SpecError
from graftcam.runtime.inputs import preprocess as module
from graftcam.runtime.inputs.preprocess import Placement, place, prepare
from graftcam.runtime.spec import Spec
from support.artifacts import preprocess, resize_model, spec
from support.images import photo


@pytest.mark.parametrize("mode", ["linear", "cubic"])
def test_the_shipped_resize_models_are_what_their_script_makes(mode: str) -> None:
    shipped = Path(module.__file__).with_name(f"resize_{mode}.onnx").read_bytes()
    assert shipped == resize_model(mode)
    assert len(shipped) < 500


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
        # transformers rounds the same halves down.
        (
            {"resize": None, "anchor": "lower"},
            (33, 35),
            Placement((33, 35), (33, 35), (0, 1), (32, 32)),
        ),
        (
            {"resize_mode": "fit", "resize": [32, 32]},
            (60, 100),
            Placement((60, 100), (19, 32), (-6, 0), (32, 32)),
        ),
        (
            {"resize_mode": "fit", "resize": [32, 32], "anchor": "top_left"},
            (100, 60),
            Placement((100, 60), (32, 19), (0, 0), (32, 32)),
        ),
        (
            {"resize_mode": "cover", "resize": [40, 36]},
            (60, 100),
            Placement((60, 100), (40, 67), (4, 18), (32, 32)),
        ),
        # torchvision's Resize(40, max_size=50)
        ({"longest": 50}, (60, 100), Placement((60, 100), (30, 50), (-1, 9), (32, 32))),
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
    image = photo(32, 32)
    values = prepare(preprocess(resize=None, layout="nhwc"), image, place(record, 32, 32))
    np.testing.assert_allclose(values, image / 255, rtol=1e-6)


def test_a_greyscale_model_gets_luma() -> None:
    record = preprocess(resize=None, scale=1.0, mean=[0.0], std=[1.0])
    image = photo(32, 32)
    values = prepare(record, image, place(record, 32, 32))
    luma = image @ np.array([0.299, 0.587, 0.114])
    assert values.shape == (1, 32, 32)
    assert np.abs(values[0] - luma).max() <= 1


def test_an_image_too_narrow_to_resize_is_refused() -> None:
    with pytest.raises(
        ImageError, match="1 x 500000 pixels would be resized to 40 x 20000000; crop"
    ):
        place(preprocess(), 500000, 1)


def test_padding_and_the_order_of_channels_are_stored() -> None:
    image = np.full((4, 8, 3), (10, 20, 200), np.uint8)
    plain = {"mean": [0.0] * 3, "std": [1.0] * 3, "scale": 1.0, "resize": [8, 8], "size": [8, 8]}
    record = preprocess(**plain, resize_mode="fit", fill=[1, 2, 3], channels="bgr")
    values = prepare(record, image)
    assert values[:, 0, 0].tolist() == [1, 2, 3]  # in the order of the model's channels
    assert values[:, 4, 4].tolist() == [200, 20, 10]
    grey = prepare(preprocess(**plain, channels="grey"), image)
    assert len(set(grey[:, 4, 4])) == 1


def test_a_record_keeps_its_new_fields_and_an_older_one_has_none_of_them() -> None:
    plain = spec(preprocess=preprocess()).to_json()
    for name in ("longest", "antialias", "anchor", "fill", "channels"):
        assert name not in json.loads(plain)["preprocess"]
    more = spec(preprocess=preprocess(fill=[7], anchor="lower", antialias=False, longest=9))
    assert Spec.from_json(more.to_json()).preprocess == more.preprocess
    with pytest.raises(SpecError, match=r"preprocess\.anchor: 'middle' is no"):
        Spec.from_json(more.to_json().replace('"lower"', '"middle"'))
