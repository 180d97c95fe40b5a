"""Images in, explanations out; the model is that of ``artifacts.py``, redness and so on."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.custody.entries import write_entries
from graftcam.runtime.errors import ImageError, InputError
from graftcam.runtime.inputs.fit_preprocess import preprocess_for
from graftcam.runtime.session.session import Port
from graftcam.runtime.spec import METADATA_KEY, Preprocess
from support.artifacts import (
    SCENE,
    SCORE,
    peak,
    preprocess,
    spec,
    write_artifact,
    write_segmenter,
)
from support.methods import watch_runs


def test_each_class_lights_up_where_its_colour_is(explainer: Explainer) -> None:
    explanation = explainer.explain(SCENE, ["red", "green"])
    assert explanation.classes == [0, 1]
    assert explanation.labels == ["red", "green"]
    assert explanation.status == ["ok", "ok"]
    assert explanation.layer == "features.0"
    assert explanation.heatmaps.shape == (2, 80, 160)
    assert explanation.heatmaps.dtype == np.float32
    assert peak(explanation.heatmaps[0]) == (32, 88)
    # In the crop's corner the map is constant beyond the last cell's centre.
    assert explanation.heatmaps[1, 64:72, 48:56].min() == pytest.approx(1, abs=1e-6)
    assert explanation.heatmaps[:, :, :48].max() == explanation.heatmaps[:, :, 112:].max() == 0
    np.testing.assert_array_equal(explanation.image, SCENE)


def test_maps_scores_and_probabilities_are_the_models(explainer: Explainer) -> None:
    explanation = explainer.explain(SCENE, [0, 3])
    assert explanation.maps.shape == (2, 4, 4)
    # Four times the mean redness of the brightest patch, divided by 16 cells; resampling bleeds.
    assert explanation.maps[0].max() == pytest.approx(4 * 1.0 / 16, rel=0.1)
    np.testing.assert_allclose(explanation.scores, explanation.output[[0, 3]])
    powers = np.exp(explanation.output)
    np.testing.assert_allclose(explanation.probabilities, powers / powers.sum(), rtol=1e-6)


def test_a_batch_is_one_run_and_equals_its_images_one_by_one(
    explainer: Explainer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "scene.png"
    cv2.imwrite(str(path), SCENE[:, :, ::-1])
    upright = SCENE.transpose(1, 0, 2)
    images = [path, upright, SCENE[:, :, 0], np.dstack([SCENE, SCENE[:, :, :1]])]
    alone = [explainer.explain(image, top=2) for image in images]
    runs = watch_runs(monkeypatch, explainer)
    together = explainer.explain(images, top=2)
    assert [len(feeds["image"]) for feeds in runs] == [4]
    assert [entry.name for entry in together] == ["scene", "image", "image-2", "image-3"]
    for one, other in zip(alone, together, strict=True):
        assert one.classes == other.classes
        np.testing.assert_array_equal(one.image, other.image)
        for field in ("output", "probabilities", "scores", "maps", "heatmaps"):
            np.testing.assert_allclose(getattr(one, field), getattr(other, field), rtol=1e-6)
    runs.clear()
    assert len(explainer.explain(np.stack([SCENE] * 19))) == 19
    assert [len(feeds["image"]) for feeds in runs] == [16, 3]
    assert explainer.explain([]) == []


def test_a_fixed_batch_axis_is_filled_up(tmp_path: Path) -> None:
    explainer = Explainer(write_artifact(tmp_path / "a.onnx", batch=2))
    batch = [SCENE, SCENE[::-1], SCENE[:, ::-1]]
    together = explainer.explain(batch, "red")
    assert [peak(entry.heatmaps[0]) for entry in together] == [(32, 88), (48, 88), (32, 72)]
    assert explainer.explain(SCENE).classes == together[0].output.argsort()[::-1][:1].tolist()


def test_threads_can_share_an_explainer(explainer: Explainer) -> None:
    rng = np.random.default_rng(0)
    images = [rng.integers(0, 256, (40 + i, 60, 3), np.uint8) for i in range(24)]
    alone = [explainer.explain(image, top=2) for image in images]
    with ThreadPoolExecutor(8) as pool:
        together = list(pool.map(lambda image: explainer.explain(image, top=2), images))
    for one, other in zip(alone, together, strict=True):
        assert one.classes == other.classes
        np.testing.assert_array_equal(one.heatmaps, other.heatmaps)


def test_a_greyscale_model_explains_colour_images(tmp_path: Path) -> None:
    record = spec(
        preprocess=preprocess(mean=[0.0], std=[1.0]), labels=None, score=replace(SCORE, classes=2)
    )
    path = write_artifact(tmp_path / "a.onnx", record, weights=[[1.0], [-1.0]], channels=1)
    # Green's luma is the largest: its square, not the red one, is brightest.
    assert Explainer(path).explain(SCENE, 0).heatmaps[0, 71, 48] == pytest.approx(1, abs=1e-6)


def test_without_preprocessing_the_remedy_is_run(tmp_path: Path) -> None:
    explainer = Explainer(write_artifact(tmp_path / "bare.onnx", spec(preprocess=None)))
    with pytest.raises(
        ImageError,
        match=r"bare.onnx stores no preprocessing; .*--preprocess imagenet, .*Explainer.run",
    ):
        explainer.explain(SCENE)
    assert explainer.run(np.ones((1, 3, 32, 32), np.float32))["heatmap"].shape == (1, 1, 4, 4)


def with_preprocessing(path: Path, stored: Preprocess | None) -> Path:
    """Write the model of fields with another preprocessing."""
    record = replace(Explainer(write_segmenter(path)).spec, preprocess=stored)
    write_entries(path, {METADATA_KEY: record.to_json()})
    return path


@pytest.mark.parametrize("given", ["unit,crop=40", preprocess(mean=[0.0], std=[1.0], input="")])
def test_an_artifact_takes_another_preprocessing(tmp_path: Path, given: Preprocess | str) -> None:
    whole = write_segmenter(tmp_path / "whole.onnx")
    bare = Explainer(with_preprocessing(tmp_path / "bare.onnx", None), preprocess=given)
    assert bare.spec.preprocess == preprocess()
    wanted = Explainer(whole).explain(SCENE, "red").heatmaps
    np.testing.assert_allclose(bare.explain(SCENE, "red").heatmaps, wanted, atol=1e-6)
    (streamed,) = bare.explain_many([SCENE], classes="red")
    np.testing.assert_allclose(streamed.heatmaps, wanted, atol=1e-6)
    other = with_preprocessing(tmp_path / "other.onnx", preprocess(scale=1.0))
    assert Explainer(other, preprocess=given).spec == Explainer(whole).spec


def test_a_preprocessing_in_the_graph_stays() -> None:
    record = spec(preprocess=preprocess(embedded=True))
    session: Any = SimpleNamespace(path=Path("inside.onnx"), spec=record)
    with pytest.raises(InputError, match=r"inside\.onnx has its preprocessing in its graph; leave"):
        preprocess_for(session, "unit")


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("imagnet", "'imagnet' is no word of a transform; did you mean 'imagenet'"),
        (3, "preprocess=3: give"),
        (
            preprocess(size=[16, 16]),
            r"gives images \[N, 3, 16, 16\], input 'image' takes \[None, 3",
        ),
        (preprocess(input="x"), "names input 'x'; the model has"),
        (preprocess(std=[0.0] * 3), "cannot have std="),
    ],
)
def test_a_preprocessing_that_does_not_fit_is_refused(
    tmp_path: Path, given: Any, message: str
) -> None:
    with pytest.raises(InputError, match=message):
        Explainer(with_preprocessing(tmp_path / "bare.onnx", None), preprocess=given)


def test_words_need_the_size_of_the_input(tmp_path: Path) -> None:
    path = write_artifact(tmp_path / "bare.onnx", spec(preprocess=None))
    with pytest.raises(InputError, match="so the size of the images is unknown"):
        Explainer(path, preprocess="unit")


def test_a_model_of_several_inputs_wants_them_by_name(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    mask = Port("mask", np.float32, (None,), required=True)
    monkeypatch.setitem(explainer._session.inputs, "mask", mask)
    with pytest.raises(InputError, match=r"'mask' float32 \[batch\]; pass 'mask' by name"):
        explainer.explain(SCENE)
    with pytest.raises(InputError, match=r"takes \['image', 'mask'\]; pass a dict of arrays"):
        explainer.run(np.ones((1, 3, 32, 32), np.float32))
