"""Training transforms in words, as files and as attributes; where the map lies afterwards."""

from __future__ import annotations

import math
from dataclasses import asdict
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import torch

from graftcam.exporter import CaptureError, Preprocess, export
from graftcam.exporter.source.preprocessing import as_preprocess
from graftcam.runtime import Explainer
from graftcam.runtime.errors import GraftcamError
from graftcam.runtime.inputs.preprocess import place, prepare
from graftcam.runtime.inputs.preprocess_words import in_words
from graftcam.runtime.output.render import project
from support.images import photo
from support.nets import Tiny, seeded

BLUE = np.full((9, 18, 3), (10, 20, 200), np.uint8)


@pytest.mark.parametrize(
    ("words", "pixel"),
    [
        ("tf", [10 / 127.5 - 1, 20 / 127.5 - 1, 200 / 127.5 - 1]),
        ("caffe", [200 - 103.939, 20 - 116.779, 10 - 123.68]),
        ("torch", [(10 / 255 - 0.485) / 0.229, (20 / 255 - 0.456) / 0.224, None]),
        ("raw bgr", [200, 20, 10]),
        ("unit", [10 / 255, 20 / 255, 200 / 255]),
    ],
)
def test_the_modes_of_keras_scale_pixels(words: str, pixel: list[float | None]) -> None:
    record = in_words(words).sized(4, 4, "nchw")
    if len(record.mean) == 1:
        record = Preprocess(**{**asdict(record), "mean": [0.0] * 3, "std": [1.0] * 3})
    values = prepare(record, BLUE)
    for channel, wanted in enumerate(pixel):
        if wanted is not None:
            np.testing.assert_allclose(values[channel], wanted, rtol=1e-5)


def test_a_letterbox_is_that_of_opencv() -> None:
    image, record = photo(30, 50), in_words("letterbox").sized(64, 64, "nchw")
    wanted = np.full((64, 64, 3), 114, np.uint8)
    wanted[13:51] = cv2.resize(image, (64, 38), interpolation=cv2.INTER_LINEAR)
    values = prepare(Preprocess(**{**asdict(record), "mean": [0.0] * 3, "std": [1.0] * 3}), image)
    np.testing.assert_allclose(values * 255, wanted.transpose(2, 0, 1), atol=1e-4)


@pytest.mark.parametrize("words", ["letterbox", "letterbox topleft", "squash", "crop=40"])
@pytest.mark.parametrize("shape", [(60, 150), (150, 60)])
def test_a_map_is_laid_over_what_the_model_saw(words: str, shape: tuple[int, int]) -> None:
    """The brightest place of the input is found again at the same object of the photograph."""
    image = np.zeros((*shape, 3), np.uint8)
    row, column = shape[0] // 2 + 5, shape[1] // 2 - 6
    cv2.circle(image, (column, row), 4, (255, 255, 255), -1)
    record = in_words(f"unit {words}").sized(32, 32, "nchw")
    values = prepare(record, image)[:1]
    values = np.where(values > 0.6, values, 0)  # the padding is grey
    heatmap = project(values[0].astype(np.float32), place(record, *shape))
    where = np.argwhere(heatmap > 0.5 * heatmap.max()).mean(axis=0)
    assert np.abs(where - (row, column)).max() < 3


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ("caffee", "'caffee' is no word of a transform; did you mean 'caffe'"),
        ("tf torch", "two ways to scale"),
        ("crop squash", "two ways to resize"),
        ("letterbox=300", "'letterbox=300' is no word"),
        ("no_such_module:x", "cannot import no_such_module:x"),
        ("no_such_file.json", "cannot read no_such_file.json: No such file"),
    ],
)
def test_other_words_are_refused(words: str, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        as_preprocess(words)


def test_words_take_the_size_of_the_models_input(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    export(
        seeded(Tiny()), path, (torch.zeros(1, 3, 16, 24),), preprocess="caffe, letterbox=0",
        verify="off",
    )  # fmt: skip
    record = Explainer(path).spec.preprocess
    assert (record.size, record.resize, record.fill) == ([16, 24], [16, 24], [0])
    assert (record.resize_mode, record.channels, record.scale) == ("fit", "bgr", 1.0)
    assert Explainer(path).explain(BLUE).heatmaps.shape == (1, *BLUE.shape[:2])


def test_a_file_or_an_attribute_holds_a_transform(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "transform.json").write_text('{"size": [8, 9], "fill": [7], "anchor": "top_left"}')
    (tmp_path / "transforms_of_mine.py").write_text(
        "from graftcam.exporter import Preprocess\n"
        "record = Preprocess(size=(8, 9))\n"
        "def build(): return Preprocess(size=(5, 6))\n"
    )
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    record = as_preprocess("transform.json")
    assert (record.size, record.fill, record.anchor) == ([8, 9], [7], "top_left")
    assert as_preprocess("transforms_of_mine:record").size == [8, 9]
    assert as_preprocess("transforms_of_mine:build").size == [5, 6]


REFUSED: dict[str, tuple[Any, str]] = {
    "zero std": (Preprocess(std=[0, 0, 0]), r"std=\[0, 0, 0\]; give a list of numbers from 1e-12"),
    "zero std of any size": (in_words("", mean=[0.5], std=[0.0]), r"cannot have std=\[0.0\]; give"),
    "NaN": (in_words("", mean=[math.nan], std=[1.0]), r"cannot have mean=\[nan\]; give"),
    "infinite": (Preprocess(scale=math.inf), "scale=inf; give a number from 1e-12 to"),
    "two means": (Preprocess(mean=[0, 1], std=[1, 1]), r"mean=\[0, 1\]; give 1 or 3 numbers"),
    "a level": (Preprocess(fill=[256]), r"fill=\[256\]; give a list .* from 0 to 255"),
    "levels": (Preprocess(fill=[1, 2]), r"fill=\[1, 2\]; give one level, or 3, as many as mean"),
    "two shorter sides": (Preprocess(resize=[8, 9]), r"resize=\[8, 9\]; give one side, or"),
    "a huge size": (Preprocess(size=[10**9] * 2), "give a list of .* 1 to 65536, 2 of them"),
}  # fmt: skip


@pytest.mark.parametrize(("transform", "message"), REFUSED.values(), ids=REFUSED)
def test_values_out_of_bounds_are_refused(transform: Any, message: str) -> None:
    with pytest.raises(CaptureError, match=message):
        as_preprocess(transform)


def test_arrays_and_numbers_of_numpy_are_values() -> None:
    given = Preprocess(size=np.array([8, 9]), mean=np.zeros(3, "f4"), scale=np.float32(0.5))
    assert as_preprocess(given).size == [8, 9]


PROCESSOR = '{"image_processor_type": "ViTImageProcessor", "do_resize": true, '
FILES = [
    "[]", "{}", '{"mean": NaN}', '{"mean": 1, "mean": 2}', "[" * 5000, '{"size": 5}',
    '{"size": [8, "9"]}', '{"std": [0, 0, 0]}', '{"mean": {"a": 1}}', '{"pretrained_cfg": 5}',
    '{"input_size": 5}', '{"input_size": [3, 8, 8], "crop_pct": "big", "mean": [0], "std": [1]}',
    '{"input_size": [3, 8, 8], "crop_pct": 1e-300, "mean": [0, 0, 0], "std": [1, 1, 1]}',
    PROCESSOR + '"size": "big"}', PROCESSOR + '"size": {"height": "a", "width": 1}}',
    PROCESSOR + '"size": 8, "resample": "x"}', PROCESSOR + '"size": 8, "rescale_factor": []}',
    PROCESSOR + '"size": 8, "do_normalize": true, "image_mean": {}}',
    PROCESSOR + '"size": 8, "do_normalize": true, "image_mean": [0], "image_std": ["a"]}',
    '{"image_processor_type": "ConvNextImageProcessor", "size": 8, "crop_pct": 0}',
]  # fmt: skip


@pytest.mark.parametrize("text", FILES)
def test_a_file_with_odd_settings_is_refused_in_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "t.json").write_text(text)
    with pytest.raises(GraftcamError) as caught:
        as_preprocess(str(tmp_path / "t.json"))
    assert "\n" not in str(caught.value)
