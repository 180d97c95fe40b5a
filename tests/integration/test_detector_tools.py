"""What inspects, packs and runs artifacts knows boxes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graftcam.exporter import LayerError
from graftcam.runtime import Explainer
from graftcam.runtime.session.session import Session
from graftcam.runtime.tools.bench import variants
from graftcam.runtime.tools.package.triton import describe
from support.cli import fail, succeed
from support.small_detector import export_detector, write_scene


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_detector(tmp_path_factory.mktemp("detector") / "squares.onnx")


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_detector(tmp_path_factory.mktemp("web") / "squares.onnx", profile="web")


def test_inspect_tells_format_inputs_outputs_levels_and_evidence(artifact: Path) -> None:
    text = succeed("inspect", artifact).stdout
    record = Explainer(artifact, "cpu").spec.detector
    for line in (
        "boxes   dense: a row or column for each anchor",
        "        boxes in output0[:, 0:4, :]: centre, width, height, in pixels of the input",
        "        scores in output0[:, 4:6, :]: probabilities",
        "input   box_index: int64 [N or 1, K], boxes by number or rank (-1 is the best)",
        "input   box_target: int64 [N or 1, K]: 0 class, 1 left, 2 top, 3 right, 4 bottom",
        f"output  {record.boxes}: float32 [N, K, 4], left, top, right, bottom in input pixels",
        "level   2 p1, boxes 64 to 79, stride 16 x 16",
        f"because {'; '.join(record.evidence)}",
        "labels  red, blue",
    ):
        assert line in text.splitlines(), line
    data = json.loads(succeed("inspect", artifact, "--json").stdout)
    assert data["detector"]["levels"][1]["layer"] == "p1"
    assert data["detector"]["evidence"] == record.evidence


def test_an_artifact_whose_inputs_must_be_fed_explains_the_best_box_by_default(
    artifact: Path, web: Path
) -> None:
    images = np.random.default_rng(0).random((2, 3, 64, 64), np.float32)
    one, other = (Session(path, "cpu").run({"images": images}) for path in (artifact, web))
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def test_a_model_repository_names_every_input_and_output_of_boxes(
    artifact: Path, web: Path
) -> None:
    session = Session(artifact, "cpu")
    text = describe(session, "m", 0, tensors=False)
    hidden = {name for one in session.spec.layers for name in (one.activations, one.gradients)}
    for name in {*session.inputs, *session.outputs} - hidden:
        assert f'  name: "{name}"\n' in text
    for name in ("class_index", *session.spec.detector.own_inputs):
        assert (
            f'name: "{name}"\n  data_type: TYPE_INT64\n  dims: [-1, -1]\n  optional: true' in text
        )
    boxes = f'name: "{session.spec.detector.boxes}"\n  data_type: TYPE_FP32\n  dims: [-1, -1, 4]\n'
    assert boxes in text
    # The server joins requests only if nothing is optional; then a client feeds what it asks.
    assert "box_index" not in describe(session, "m", 4, tensors=False).partition("parameters")[0]
    joined = describe(Session(web, "cpu"), "m", 4, tensors=False)
    for name in ("class_index", *session.spec.detector.own_inputs):
        assert f'name: "{name}"\n  data_type: TYPE_INT64\n  dims: [-1]\n}}' in joined


def test_bench_measures_boxes_and_compares_with_the_plain_detector(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(variants, "peak_memory", lambda *_: 10**6)
    runs: list[variants.Variant] = []
    explained = variants.explained
    monkeypatch.setattr(
        variants, "explained", lambda *given: runs.extend(explained(*given)) or list(runs)
    )
    data = json.loads(succeed("bench", artifact, "--rounds", 1, "--json").stdout)
    assert [row["name"] for row in data["rows"]] == ["plain", "K = 0", "K = 1", "K = 4", "K = 16"]
    four = runs[2]
    np.testing.assert_array_equal(four.feeds["box_index"], [[-1, -2, -3, -4]])
    found = four()
    record = four.model.spec.detector
    assert found[record.boxes].shape == (1, 4, 4)
    assert found[record.heatmap].shape == (1, 4, 8, 8)
    runs.clear()
    data = json.loads(succeed("bench", artifact, "-k", 2, "--rounds", 1, "--json").stdout)
    assert [row["name"] for row in data["rows"]] == ["plain", "K = 0", "K = 1", "K = 2"]
    assert "give -k instead of --class" in fail("bench", artifact, "--class", "red", code=2)


def test_extras_of_a_detector_work_or_are_refused(tmp_path: Path) -> None:
    photo = write_scene(tmp_path / "photo.png", ("red", 16, 16, 16))
    with pytest.raises(LayerError, match=r"no heads.*leave 'head' out of extras"):
        export_detector(tmp_path / "head.onnx", extras="head")
    assert [path.name for path in tmp_path.glob("*head*")] == ["plain-head.onnx"]
    guided = export_detector(tmp_path / "guided.onnx", extras="guided")
    for method in ("saliency", "guided-gradcam"):
        found = Explainer(guided, "cpu").explain_boxes(photo, method=method)
        assert found.shares[0] > 0.5, method
    raw = Explainer(export_detector(tmp_path / "raw.onnx", extras="embed_preprocess"), "cpu")
    plain = Explainer(export_detector(tmp_path / "plain.onnx"), "cpu").explain_boxes(photo)
    same = raw.explain_boxes(photo)
    np.testing.assert_allclose(same.detections.boxes, plain.detections.boxes, atol=0.01)
    np.testing.assert_allclose(same.maps, plain.maps, atol=1e-3 * plain.maps.max())


def test_what_needs_one_score_or_one_head_is_refused(artifact: Path, tmp_path: Path) -> None:
    photo = write_scene(tmp_path / "photo.png", ("red", 16, 16, 16))
    said = fail("explain", artifact, photo, "-o", tmp_path / "out", "--method", "ablationcam")
    assert "a detector's boxes come from the heads of all levels" in said
    assert "export" not in said  # no export can give it
    grown = export_detector(tmp_path / "ig.onnx", extras="input_gradients")
    target = tmp_path / "image.png"
    said = fail("visualize", grown, "--class", "red", "-o", target)
    assert "there is no one score to maximise" in said
    assert not target.exists()


def test_the_optimised_form_and_smaller_copies_find_the_same(
    artifact: Path, tmp_path: Path
) -> None:
    folder = tmp_path / "images"
    folder.mkdir()
    photo = write_scene(folder / "photo.png", ("red", 16, 16, 16), ("blue", 40, 40, 8))
    expected = Explainer(artifact, "cpu").explain_boxes(photo)
    optimised, half = tmp_path / "optimised.onnx", tmp_path / "half.onnx"
    succeed("optimize", artifact, "-o", optimised)
    succeed("shrink", artifact, "--precision", "float16", "--images", folder, "-o", half)
    for path, close in ((optimised, 1e-4), (half, 0.02)):
        found = Explainer(path, "cpu").explain_boxes(photo)
        assert found.detections.indices.tolist() == expected.detections.indices.tolist()
        np.testing.assert_allclose(found.maps, expected.maps, atol=close * expected.maps.max())
