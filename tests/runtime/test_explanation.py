"""Explanations are drawn, saved and summarised, also if there is nothing to draw."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.errors import RenderError
from graftcam.runtime.inputs.scores import probabilities
from graftcam.runtime.methods.table import METHODS
from graftcam.runtime.output.render import Look, mark, palette
from graftcam.runtime.spec import ScoreRecord
from support.artifacts import SCENE, SCORE, peak, spec, write_artifact
from support.images import read_rgb


def test_a_map_without_evidence_is_marked_and_not_drawn(explainer: Explainer) -> None:
    explanation = explainer.explain(SCENE, ["red", "empty"])
    assert explanation.status == ["ok", "zero"]
    assert not explanation.heatmaps[1].any()
    for style in ("overlay", "heatmap", "contour", "mask"):
        drawn = explanation.draw("empty", style=style)
        np.testing.assert_array_equal(drawn, mark(SCENE, "zero"))
    changed = (explanation.draw("red") != SCENE).any(axis=-1)
    assert changed[32, 88]
    assert not changed[:, :48].any()


def test_a_nonfinite_map_is_reported_and_marked(tmp_path: Path) -> None:
    weights = [[4.0, 0.0, 0.0], [0.0, float("nan"), 0.0], [0.0, 0.0, 2.0], [-1.0, -1.0, -1.0]]
    explainer = Explainer(write_artifact(tmp_path / "a.onnx", weights=weights))
    explanation = explainer.explain(SCENE, [0, 1])
    assert explanation.status == ["ok", "nonfinite"]
    assert not explanation.heatmaps[1].any()
    np.testing.assert_array_equal(explanation.draw(1), mark(SCENE, "nonfinite"))
    summary = json.loads(json.dumps(explanation.to_dict(maps=True), allow_nan=False))
    assert summary["classes"][1]["score"] is None
    assert summary["classes"][1]["map_maximum"] is None
    assert summary["classes"][1]["map"][0][0] is None


def test_a_constant_map_is_reported_and_marked(explainer: Explainer) -> None:
    explanation = explainer.explain(np.full((40, 40, 3), 90, np.uint8), "red")
    assert explanation.maps.min() > 0
    assert explanation.status == ["constant"]
    assert not explanation.heatmaps.any()
    np.testing.assert_array_equal(explanation.draw(), mark(explanation.image, "constant"))


def test_on_a_shared_scale_the_weaker_class_is_paler(explainer: Explainer) -> None:
    explanation = explainer.explain(SCENE, ["red", "green"])
    ratio = explanation.maps[1].max() / explanation.maps[0].max()
    assert ratio < 0.75
    assert explanation.peak == explanation.maps.max()
    drawn = explanation.draw("green", style="heatmap", scale="shared")
    strongest = palette().paint(np.full((1, 1), ratio, np.float32))[0, 0]
    row, column = peak(explanation.heatmaps[1])
    np.testing.assert_array_equal(drawn[row, column], strongest)
    # The class that sets the scale looks as on its own.
    red = explanation.draw("red", style="heatmap")
    np.testing.assert_array_equal(explanation.draw(0, style="heatmap", scale="shared"), red)
    alone = explainer.explain(SCENE, "empty")
    assert alone.peak == 0
    np.testing.assert_array_equal(alone.draw(scale="shared"), mark(SCENE, "zero"))


def test_signed_maps_show_both_signs(explainer: Explainer) -> None:
    found = explainer.explain(SCENE, "red")
    raw = np.zeros((1, 4, 4), np.float32)
    raw[0, 0, 0], raw[0, 3, 3] = 1, -1
    signed = replace(found, maps=raw, signed=True)
    assert signed.heatmaps.min() == -1
    drawn = signed.draw(style="heatmap")
    colours = palette("diverging", signed=True).colours
    np.testing.assert_array_equal(drawn[8, 48], colours[255])
    np.testing.assert_array_equal(drawn[71, 111], colours[1])
    np.testing.assert_array_equal(drawn[8, 111], colours[128])


def test_drawing_at_another_height_keeps_the_map_in_its_place(explainer: Explainer) -> None:
    found = explainer.explain(SCENE, "red")
    large = found.draw(height=240, style="heatmap")
    assert large.shape == (240, 480, 3)
    middle = large[3 * 32 + 1, 3 * 88 + 1].astype(int)
    nearest = np.abs(palette().colours.astype(int) - middle).sum(axis=1).argmin()
    assert nearest > 240, "the upper end, in the cell's middle"
    assert (large[:, : 3 * 48] == 200).all()


def test_a_single_logit_explains_both_classes(tmp_path: Path) -> None:
    score = replace(SCORE, activation="sigmoid", classes=2, single_logit=True)
    record = spec(score=score, labels=["other", "red"])
    path = write_artifact(tmp_path / "a.onnx", record, weights=[[4.0, 0.0, 0.0]])
    explanation = Explainer(path).explain(SCENE, top=2)
    assert explanation.labels == ["red", "other"]
    assert explanation.status == ["ok", "zero"]
    assert explanation.output.shape == (1,)
    p = 1 / (1 + np.exp(-explanation.output[0]))
    np.testing.assert_allclose(explanation.probabilities, [1 - p, p], rtol=1e-6)
    np.testing.assert_allclose(explanation.scores, explanation.output[0] * np.array([1, -1]))


def test_an_output_of_probabilities_is_taken_as_it_is(tmp_path: Path) -> None:
    record = spec(score=replace(SCORE, output="probs", activated=True))
    explanation = Explainer(write_artifact(tmp_path / "a.onnx", record)).explain(SCENE)
    np.testing.assert_array_equal(explanation.probabilities, explanation.output)
    assert explanation.output.sum() == pytest.approx(1)
    assert explanation.scores[0] != explanation.output[explanation.classes[0]]


@pytest.mark.parametrize(
    ("changes", "output", "expected"),
    [
        ({}, [1000.0, 1000.0, 0.0], [0.5, 0.5, 0.0]),
        ({"activation": "sigmoid"}, [0.0, 1000.0, -1000.0], [0.5, 1.0, 0.0]),
        ({"activation": "sigmoid", "single_logit": True}, 0.0, [0.5, 0.5]),
        ({"activation": "sigmoid", "single_logit": True, "activated": True}, [0.25], [0.75, 0.25]),
        ({"activated": True}, [0.25, 0.75], [0.25, 0.75]),
    ],
)
def test_probabilities_never_overflow(
    changes: dict[str, object], output: object, expected: list[float]
) -> None:
    score = ScoreRecord(**{**SCORE.__dict__, **changes})
    got = probabilities(score, np.array(output, np.float32))
    np.testing.assert_array_equal(got, np.array(expected, np.float32))
    assert probabilities(replace(SCORE, activation="none"), np.zeros(3)) is None


def test_saving_to_a_folder_names_files_after_image_and_class(
    explainer: Explainer, tmp_path: Path
) -> None:
    explanation = explainer.explain(SCENE, ["red", "green"])
    paths = explanation.save(tmp_path / "out")
    assert paths == [tmp_path / "out" / "image-red.png", tmp_path / "out" / "image-green.png"]
    np.testing.assert_array_equal(read_rgb(paths[1]), explanation.draw("green"))


def test_saving_to_a_file(explainer: Explainer, tmp_path: Path) -> None:
    explanation = explainer.explain(SCENE, [0, 1, 0])
    assert explanation.save(tmp_path / "a.png", which=1) == [tmp_path / "a.png"]
    names = [path.name for path in explanation.save(tmp_path / "b.jpg")]
    assert names == ["b-red.jpg", "b-green.jpg", "b-red-2.jpg"]


def test_raw_maps_and_summaries_are_files_too(explainer: Explainer, tmp_path: Path) -> None:
    explanation = explainer.explain(SCENE, ["red", "green"])
    assert explanation.save(tmp_path, suffix=".npy") == [tmp_path / "image.npy"]
    stored = np.load(tmp_path / "image.npy")
    assert stored.dtype == np.float32
    np.testing.assert_array_equal(stored, explanation.maps)
    explanation.save(tmp_path / "green.npy", which="green")
    np.testing.assert_array_equal(np.load(tmp_path / "green.npy"), explanation.maps[1:])
    (path,) = explanation.save(tmp_path, suffix=".json", name="other")
    assert path.name == "other.json"
    summary = json.loads(path.read_text())
    written = [entry.pop("map") for entry in summary["classes"]]
    np.testing.assert_array_equal(np.array(written, np.float32), explanation.maps)
    assert summary == explanation.to_dict()
    explanation.save(tmp_path / "one.json", which=1)
    assert [e["label"] for e in json.loads((tmp_path / "one.json").read_text())["classes"]] == [
        "green"
    ]
    assert not list(tmp_path.glob(".*")), "no drafts are left"
    with pytest.raises(RenderError, match=r"'.tiff?x' is no image format"):
        explanation.save(tmp_path / "a.tiffx")


def test_labels_make_file_names_without_signs(tmp_path: Path) -> None:
    labels = ["a/b", "a b", "../Käfer 犬", "///"]
    explainer = Explainer(write_artifact(tmp_path / "a.onnx", spec(labels=labels)))
    saved = explainer.explain(SCENE, [0, 1, 2, 3]).save(tmp_path / "out")
    assert [path.name for path in saved] == [
        "image-a-b.png", "image-a-b-2.png", "image-Käfer-犬.png", "image-class.png",
    ]  # fmt: skip
    assert all(path.parent == tmp_path / "out" and path.is_file() for path in saved)


def test_without_classes_there_is_nothing_to_draw_and_no_failure(
    explainer: Explainer, tmp_path: Path
) -> None:
    found = explainer.explain(SCENE, [])
    assert found.heatmaps.shape == (0, 80, 160)
    assert found.save(tmp_path / "out") == []
    assert found.peak == 0
    assert found.to_dict()["classes"] == []


def test_the_summary_is_json(explainer: Explainer) -> None:
    explanation = explainer.explain(SCENE, ["red", "empty"])
    summary = json.loads(json.dumps(explanation.to_dict(), allow_nan=False))
    first, second = summary.pop("classes")
    for row, entry in enumerate((first, second)):
        assert entry.pop("score") == pytest.approx(float(explanation.scores[row]))
        expected = float(explanation.probabilities[entry["id"]])
        assert entry.pop("probability") == pytest.approx(expected)
        assert entry.pop("map_maximum") == pytest.approx(float(explanation.maps[row].max()))
    assert first == {"id": 0, "label": "red", "status": "ok"}
    assert second == {"id": 3, "label": "empty", "status": "zero"}
    assert summary == {
        "name": "image", "width": 160, "height": 80, "layer": "features.0", "method": "gradcam",
        "signed": False, "augment": [],
    }  # fmt: skip
    assert len(repr(explanation)) < 600


def test_methods_of_pixels_are_drawn_up_to_a_percentile(explainer: Explainer) -> None:
    """A single outlier of a gradient must not hide all other pixels."""
    raw = np.tile(np.linspace(0.1, 1, 32, dtype=np.float32), (32, 1))
    raw[0, 0] = 1000
    known = explainer.explain(SCENE, "red")
    layer, pixels = (
        replace(known, maps=raw[None], method=method) for method in ("gradcam", "saliency")
    )
    assert METHODS["saliency"].of_pixels
    assert not METHODS["gradcam"].of_pixels
    assert layer.shown(0, Look()).mean() < 0.01
    assert pixels.shown(0, Look()).mean() > 0.4
    np.testing.assert_array_equal(
        pixels.draw(percentile=100, style="heatmap"), layer.draw(style="heatmap")
    )
    np.testing.assert_array_equal(
        layer.draw(percentile=99, style="heatmap"), pixels.draw(style="heatmap")
    )
    wide = layer.draw(dilation=2, style="heatmap").astype(int).sum()
    assert wide > layer.draw(style="heatmap").astype(int).sum()
    # The raw maps and the heatmaps, which programs read, stay as they are.
    assert pixels.heatmaps.max() == 1
    assert pixels.to_dict() == {**layer.to_dict(), "method": "saliency"}


def test_some_of_an_explanations_classes_are_an_explanation(explainer: Explainer) -> None:
    found = explainer.explain(SCENE, ["red", "green", "empty"])
    part = found.only([2, 0])
    assert part.labels == ["empty", "red"]
    assert part.status == ["zero", "ok"]
    np.testing.assert_array_equal(part.maps, found.maps[[2, 0]])
    np.testing.assert_array_equal(part.draw("red"), found.draw("red"))
    assert found.labels == ["red", "green", "empty"]
