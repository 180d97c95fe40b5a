"""Artifacts with other scores than class logits, in the runtime and on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from graftcam.exporter import Score, TorchExport
from graftcam.exporter.artifact.strip import write_plain
from graftcam.runtime import Explainer
from graftcam.runtime.errors import ClassError, InputError, SpecError
from graftcam.runtime.inputs.scores import probabilities
from graftcam.runtime.session.session import Session
from graftcam.runtime.spec import Preprocess
from support.artifacts import spec as patch_spec
from support.artifacts import write_artifact
from support.cli import call, fail, succeed
from support.exports import make, to_onnx
from support.nets import Dense, Tiny, seeded
from support.nets_scores import Detector

LABELS = ["ant", "bee", "cat", "dog", "eel", "fox"]
TRANSFORM = Preprocess("", [8, 12], None, "exact", "bilinear", 1 / 255, [0.5] * 3, [0.25] * 3)
IMAGE = np.random.default_rng(0).integers(0, 256, (8, 12, 3), np.uint8)


@pytest.fixture(scope="module")
def linear(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("linear") / "linear.onnx"
    options = {"layers": "conv2", "labels": LABELS, "preprocess": TRANSFORM}
    return make(Tiny(), path, (8, 12), score="linear", **options).path


@pytest.fixture(scope="module")
def channels(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("channels") / "channels.onnx"
    options = {"layers": ["conv2", "conv1"], "preprocess": TRANSFORM}
    return make(Tiny(), path, (8, 12), score="channel", **options).path


def test_weights_are_called_by_name_or_by_place(linear: Path) -> None:
    explainer = Explainer(linear)
    weights = {"bee rather than cat": np.eye(6)[1] - np.eye(6)[2], "dog": np.eye(6)[3]}
    found = explainer.explain(IMAGE, score_weights=weights)
    assert found.labels == list(weights)
    assert found.classes == [0, 1]
    assert found.probabilities is None
    np.testing.assert_allclose(
        found.scores, [found.output[1] - found.output[2], found.output[3]], rtol=1e-5
    )
    assert found.heatmaps.shape == (2, 8, 12)
    rows = np.stack(list(weights.values()))
    assert explainer.explain(IMAGE, score_weights=rows).labels == ["0", "1"]
    one, two = explainer.explain([IMAGE, IMAGE[::-1]], score_weights=rows[0])
    assert one.labels == two.labels == ["0"]
    np.testing.assert_allclose(one.scores, found.scores[:1], rtol=1e-5)
    assert not np.allclose(one.scores, two.scores)
    assert explainer.explain(IMAGE, score_weights=rows[:0]).heatmaps.shape == (0, 8, 12)


def test_tensors_are_run_with_weights_for_all_or_for_each(linear: Path) -> None:
    explainer = Explainer(linear)
    x = np.random.default_rng(1).standard_normal((2, 3, 8, 12)).astype(np.float32)
    shared = explainer.run(x, score_weights=np.eye(6)[None, :2])
    assert "classes" not in shared
    each = explainer.run({"x": x, "score_weights": np.eye(6)[None, :2].repeat(2, 0)})
    np.testing.assert_allclose(shared["heatmap"], each["heatmap"])
    assert explainer.run(x, score_weights=np.zeros((1, 0, 6)))["scores"].shape == (2, 0)


def test_weights_that_do_not_fit_are_refused_by_what_to_pass(linear: Path, channels: Path) -> None:
    explainer = Explainer(linear)
    x = np.zeros((2, 3, 8, 12), np.float32)
    with pytest.raises(InputError, match=r"pass score_weights, numbers \[K, 6\]"):
        explainer.explain(IMAGE)
    with pytest.raises(InputError, match=r"with score_weights, not classes"):
        explainer.explain(IMAGE, "bee", score_weights=np.eye(6))
    with pytest.raises(InputError, match=r"float64 \[1, 2, 5\]; pass numbers \[N or 1, K, 6\]"):
        explainer.explain(IMAGE, score_weights=np.ones((2, 5)))
    with pytest.raises(InputError, match="all of one shape"):
        explainer.explain(IMAGE, score_weights={"a": np.ones(6), "b": np.ones(5)})
    with pytest.raises(InputError, match="not finite"):
        explainer.explain(IMAGE, score_weights=np.full(6, np.nan))
    with pytest.raises(InputError, match=r"float64 \[3, 1, 6\]"):
        explainer.run(x, score_weights=np.ones((3, 1, 6)))
    with pytest.raises(InputError, match="score_weights, not classes"):
        explainer.run(x, class_index=[[0]])
    with pytest.raises(InputError, match="export it with score='linear'"):
        Explainer(channels).explain(IMAGE, score_weights=np.ones(6))


def test_a_channel_is_explained_by_number_in_part_of_the_image(channels: Path) -> None:
    explainer = Explainer(channels)
    found = explainer.explain(IMAGE, [4, -1], layer="conv1")
    assert found.labels[0] == "4"
    assert found.probabilities is None
    values = found.output
    np.testing.assert_allclose(found.scores[0], values[4].mean(), rtol=1e-5)
    left = np.zeros((8, 12), np.bool_)
    left[:, :6] = True
    half = explainer.explain(IMAGE, 4, region=left)
    np.testing.assert_allclose(half.scores[0], values[4, :, :3].mean(), rtol=1e-5)
    with pytest.raises(ClassError, match="0 to 11"):
        explainer.explain(IMAGE, 12)


def test_metadata_that_mixes_weights_and_classes_is_refused(tmp_path: Path) -> None:
    for changes in ({"score_weights": "class_index"}, {"classes": None}):
        path = write_artifact(tmp_path / "m.onnx", patch_spec(**changes))
        with pytest.raises(SpecError, match="a linear score goes with score_weights"):
            Session(path)


def test_probabilities_of_a_detector_are_those_of_its_classes(tmp_path: Path) -> None:
    for form, axis in (("chances", 1), ("turned", 2)):
        score = Score(class_axis=axis, class_offset=4)
        made = make(Detector(form), tmp_path / "m.onnx", (8, 12), layers="stem", score=score)
        output = np.random.default_rng(0).random((7, 24) if axis == 1 else (24, 7), np.float32)
        shares = probabilities(made.spec.score, output)
        np.testing.assert_array_equal(shares, (output if axis == 1 else output.T)[4:])


def test_inspect_and_bench_and_the_plain_model(
    linear: Path, channels: Path, tmp_path: Path
) -> None:
    text = call("inspect", linear).stdout
    assert "score_weights: float32 [N or 1, K, *linear], the score is the inner product" in text
    assert "(linear), any weights of linear, none" in text
    assert "12 channels of conv2" in call("inspect", channels).stdout
    result = succeed("bench", linear, "-k", "3", "--rounds", "2", "--json")
    rows = json.loads(result.stdout)["rows"]
    assert [row["name"] for row in rows] == ["plain", "K = 0", "K = 1", "K = 3"]
    fail("bench", linear, "--class", "1")
    write_plain(channels, tmp_path / "plain.onnx")
    fail("inspect", tmp_path / "plain.onnx")


def test_weights_of_open_extents_are_measured_by_a_run(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    trace = TorchExport(dynamic_size=True)
    make(Dense(), path, (8, 12), layers="stem", score="linear", trace=trace, verify="quick")
    succeed("bench", path, "--shape", "16,20", "--rounds", "1", "--json")


def test_the_command_line_exports_and_explains_them(tmp_path: Path) -> None:
    path, weights, image = (tmp_path / name for name in ("m.onnx", "w.npy", "p.png"))
    succeed(
        "export", "graftcam.demo.model:build", "--shape", "3,96,96", "--mean", "0,0,0", "--std",
        "1,1,1", "--layer", "layer3", "--score", "linear", "-o", path,
    )  # fmt: skip
    cv2.imwrite(str(image), np.full((96, 96, 3), 128, np.uint8))
    np.save(weights, np.eye(10)[:2])
    out = tmp_path / "out"
    result = succeed("explain", path, image, "-o", out, "--score-weights", weights, "--json")
    assert [entry["label"] for entry in json.loads(result.stdout)[0]["classes"]] == ["0", "1"]
    assert sorted(file.name for file in out.iterdir()) == ["p-0.png", "p-1.png"]
    for arguments, message in (
        ((), "pass score_weights"),
        (("--score-weights", image), "cannot read weights"),
        (("--score-weights", tmp_path / "no.npy"), "cannot read weights"),
    ):
        assert message in fail("explain", path, image, "-o", out, *arguments)


def test_the_command_line_names_output_axis_and_offset(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.onnx", tmp_path / "m.onnx"
    to_onnx(seeded(Detector("rows")), plain, (8, 12), output_names=["found"])
    options = ["--class-axis", "2", "--class-offset", "4", "--activation", "sigmoid"]
    result = succeed("export", plain, "-o", path, "--output", "found", *options)
    assert "3 classes along axis 2 after 4 other entries" in result.output
    assert "3 classes along axis 2 after 4 other entries" in call("inspect", path).output
    said = fail("export", plain, "-o", path, "--output", "lost", *options)
    assert "no output is called 'lost'" in said
