"""What inspects, packs and runs artifacts knows boxes."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.session.session import Session
from graftcam.runtime.tools.bench import variants
from graftcam.runtime.tools.triton import describe
from support.cli import fail, succeed
from support.small_detector import export_detector


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
        "level   1 p1, boxes 64 to 79, stride 16 x 16",
        f"because {record.evidence[0]}",
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
