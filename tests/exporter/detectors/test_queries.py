"""DETR and its kin as ONNX files: two outputs of queries, softmax or sigmoid, and refusals."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx_ir as ir
import pytest

from graftcam.exporter import export
from graftcam.exporter.errors import ScoreError
from graftcam.exporter.locate.detectors.layers.token_layer import is_passed_by
from graftcam.runtime.spec.detector import Detector
from support.onnx_bytes import onnx_model
from support.sessions import open_session

QUERIES, CLASSES, SIDES = 3, 4, (16, 24)
_BOXES = {
    "plain": "pred_boxes = Sigmoid(raw)",
    "refined": """moved = MatMul(found, to_points)
        points = Tanh(moved)
        sum = Add(raw, points)
        pred_boxes = Sigmoid(sum)""",
    "corners": """half = Sigmoid(raw)
        first, second = Split <axis = 2, num_outputs = 2> (half)
        last = Add(first, second)
        unit = Concat <axis = 2> (first, last)
        pred_boxes = Mul(unit, sixteen)""",
}
_SCORES = {
    "raw": "logits = Identity(scored)",
    "sigmoid": "logits = Sigmoid(scored)",
    "softmax": "logits = Softmax <axis = -1> (scored)",
}


def _model(path: Path, boxes: str = "plain", scores: str = "raw", more: str = "") -> Path:
    """Queries that attend twice to the tokens of one map, once with positions added."""
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    queries (float[N, 3, 16, 24] image) => (float[N, 3, 4] logits, float[N, 3, 4] pred_boxes{more})
    {{
        patches = Conv <strides = [4, 4]> (image, patch)
        body = Conv <pads = [1, 1, 1, 1]> (patches, kernel)
        bent = Tanh(body)
        flat = Reshape(bent, to_flat)
        tokens = Transpose <perm = [0, 2, 1]> (flat)
        memory = Tanh(tokens)
        placed = Add(memory, positions)
        keys = Transpose <perm = [0, 2, 1]> (placed)
        alike = MatMul(queries, keys)
        weights = Softmax <axis = -1> (alike)
        found = MatMul(weights, memory)
        scored = MatMul(found, to_scores)
        {_SCORES[scores]}
        raw = MatMul(found, to_boxes)
        {_BOXES[boxes]}
        first_boxes = Sigmoid(alike)
        hidden = Identity(found)
    }}"""
    drawn = np.random.default_rng(0)
    shapes = {
        "patch": (8, 3, 4, 4), "kernel": (8, 8, 3, 3), "positions": (1, 24, 8),
        "queries": (1, QUERIES, 8), "to_scores": (8, CLASSES), "to_boxes": (8, 4),
        "to_points": (8, 4),
    }  # fmt: skip
    constants: dict[str, npt.NDArray[Any]] = {
        name: (drawn.standard_normal(shape) / shape[1] ** 0.5).astype(np.float32)
        for name, shape in shapes.items()
    }
    constants["to_flat"] = np.array([0, 8, -1])
    constants["sixteen"] = np.array(16, np.float32)
    path.write_bytes(onnx_model(text, constants))
    return path


def _detector(path: Path, **given: Any) -> Detector:
    found = export(path, path.with_suffix(".cam.onnx"), verify="off", **given).spec.detector
    assert found is not None
    assert found.format == "queries"
    return found


@pytest.mark.parametrize(
    ("boxes", "scores", "given", "activation", "no_object"),
    [
        ("plain", "raw", {"labels": ["a", "b", "c"]}, "softmax", True),
        ("plain", "raw", {"labels": ["a", "b", "c", "d"]}, "sigmoid", None),
        ("plain", "raw", {"activation": "softmax"}, "softmax", True),
        ("plain", "raw", {"activation": "sigmoid"}, "sigmoid", None),
        ("plain", "sigmoid", {}, "sigmoid", None),
        ("plain", "softmax", {}, "softmax", True),
        ("plain", "softmax", {"labels": ["a", "b", "c", "d"]}, "softmax", None),
        ("refined", "raw", {}, "sigmoid", None),
    ],
)
def test_softmax_or_sigmoid_is_what_something_shows(
    tmp_path: Path,
    boxes: str,
    scores: str,
    given: dict[str, Any],
    activation: str,
    no_object: bool | None,
) -> None:
    path = _model(tmp_path / "a.onnx", boxes, scores)
    report = export(path, tmp_path / "b.onnx", verify="off", **given)
    detector = report.spec.detector
    assert detector is not None
    assert (report.spec.score.activation, detector.no_object) == (activation, no_object)
    assert detector.activated is (scores != "raw")
    assert report.spec.score.classes == CLASSES - bool(no_object)


@pytest.mark.parametrize(
    ("scores", "given", "message"),
    [
        ("raw", {}, "give 4 or 3 labels"),
        ("raw", {"labels": ["a", "b"]}, "2 class names do not fit: logits has 4 entries"),
        ("sigmoid", {"labels": ["a", "b", "c"]}, "each with a Sigmoid; give 4"),
    ],
)
def test_what_is_in_doubt_is_refused(
    tmp_path: Path, scores: str, given: dict[str, Any], message: str
) -> None:
    path = _model(tmp_path / "a.onnx", "plain", scores)
    with pytest.raises(ScoreError, match=message):
        export(path, tmp_path / "b.onnx", verify="off", **given)
    assert not (tmp_path / "b.onnx").exists()


def test_sigmoids_are_centres_in_shares_of_the_image(tmp_path: Path) -> None:
    found = _detector(_model(tmp_path / "a.onnx", "refined"))
    assert (found.box_layout, found.box_units, found.final) == ("cxcywh", "unit", True)


def test_a_run_shows_corners_in_pixels(tmp_path: Path) -> None:
    found = _detector(_model(tmp_path / "a.onnx", "corners"), labels=["a", "b", "c"])
    assert (found.box_layout, found.box_units) == ("xyxy", "pixels")


def test_outputs_of_other_layers_are_left_alone(tmp_path: Path) -> None:
    more = ", float[N, 3, 24] first_boxes, float[N, 3, 8] hidden"
    found = _detector(_model(tmp_path / "a.onnx", "refined", more=more))
    assert found.score_entries[0].output == "logits"
    assert found.box_entries[0].output == "pred_boxes"


def test_the_layer_is_one_that_all_queries_look_through(tmp_path: Path) -> None:
    report = export(_model(tmp_path / "a.onnx", "refined"), tmp_path / "b.onnx", verify="off")
    assert [one.name for one in report.spec.layers] == ["bent"]


def test_values_of_attention_pass_its_keys_by(tmp_path: Path) -> None:
    """Keys are the memory with positions added, values are without."""
    graph = ir.load(_model(tmp_path / "a.onnx", "refined")).graph
    values = {value.name: value for node in graph for value in node.outputs}
    ends = [values["logits"], values["pred_boxes"]]
    passed = {name: is_passed_by(values[name], ends, graph.inputs[0])
              for name in ("placed", "memory", "body", "raw")}  # fmt: skip
    assert passed == {"placed": True, "memory": False, "body": False, "raw": True}


def test_classifiers_settings_take_the_classifiers_way(tmp_path: Path) -> None:
    path = _model(tmp_path / "a.onnx", "refined")
    for given in ({"detector": "off"}, {"class_axis": 2}):
        report = export(path, tmp_path / f"{len(given)}.onnx", verify="off", output="logits",
                        **given)  # fmt: skip
        assert report.spec.detector is None
        (tmp_path / f"{len(given)}.onnx").unlink()


def test_a_file_cannot_be_taken_before_its_suppression(tmp_path: Path) -> None:
    with pytest.raises(ScoreError, match="takes the suppression of boxes off a PyTorch module"):
        export(_model(tmp_path / "a.onnx"), tmp_path / "b.onnx", detector="before_nms")


@pytest.mark.parametrize("target", range(5))
@pytest.mark.parametrize("boxes", ["plain", "refined", "corners"])
def test_gradients_are_finite_differences(tmp_path: Path, boxes: str, target: int) -> None:
    """The memory is perturbed in numpy, in float64, with the file's own weights."""
    path = _model(tmp_path / "a.onnx", boxes)
    export(path, tmp_path / "b.onnx", labels=["a", "b", "c"], layers=["memory"], verify="off")
    image = np.random.default_rng(1).standard_normal((1, 3, *SIDES)).astype(np.float32)
    session = open_session(tmp_path / "b.onnx")
    names = [one.name for one in session.get_outputs()]
    feeds = {"image": image, "box_index": [[2]], "box_target": [[target]], "class_index": [[1]]}
    found = dict(
        zip(names, session.run(None, {k: np.asarray(v) for k, v in feeds.items()}), strict=True)
    )
    memory = found["activations"][0].reshape(8, -1).T.astype(np.float64)
    score = _score_of(path, boxes, target)
    assert score(memory) == pytest.approx(found["scores"][0, 0], abs=1e-5)
    direction = np.random.default_rng(2).standard_normal(memory.shape)
    step = 1e-6
    slope = (score(memory + step * direction) - score(memory - step * direction)) / (2 * step)
    gradient = found["gradients"][0, 0].reshape(8, -1).T
    assert abs(slope) > 1e-5
    assert (gradient * direction).sum() == pytest.approx(slope, rel=1e-4)


def _score_of(path: Path, boxes: str, target: int) -> Callable[[npt.NDArray[Any]], float]:
    """The score of box 2, class 1, as numpy computes it from the memory."""
    import onnx

    stored = {one.name: onnx.numpy_helper.to_array(one).astype(np.float64)
              for one in onnx.load(path).graph.initializer}  # fmt: skip

    def score(memory: npt.NDArray[Any]) -> float:
        alike = stored["queries"][0] @ (memory + stored["positions"][0]).T
        weights = np.exp(alike - alike.max(1, keepdims=True))
        found = (weights / weights.sum(1, keepdims=True)) @ memory
        if target == 0:
            return float((found @ stored["to_scores"])[2, 1])
        raw = found @ stored["to_boxes"]
        if boxes == "refined":
            raw = raw + np.tanh(found @ stored["to_points"])
        four = 1 / (1 + np.exp(-raw[2]))
        if boxes == "corners":
            edges = np.concatenate([four[:2], four[:2] + four[2:]]) * 16
        else:
            centre, half = four[:2] * [24, 16], four[2:] / 2 * [24, 16]
            edges = np.concatenate([centre - half, centre + half])
        return float(edges[target - 1])

    return score
