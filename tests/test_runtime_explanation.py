"""What an explanation shows, saves and tells, also where there is nothing to show."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING

import cv2
import numpy as np
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.errors import ClassError
from graftcam.runtime.scores import probabilities
from graftcam.runtime.spec import Score

from .artifacts import SCENE, SCORE, spec, write_artifact

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(write_artifact(tmp_path_factory.mktemp("model") / "patches.onnx"))


def test_a_map_without_evidence_leaves_the_picture_as_it_is(explainer: Explainer) -> None:
    explanation = explainer.explain(SCENE, ["red", "empty"])
    assert explanation.status == ["ok", "zero"]
    assert not explanation.heatmaps[1].any()
    np.testing.assert_array_equal(explanation.overlay("empty", alpha=1.0), SCENE)
    changed = (explanation.overlay("red") != SCENE).any(axis=-1)
    assert changed[32, 88]
    assert not changed[:, :48].any()


def test_a_nonfinite_map_is_reported_and_blank(tmp_path: Path) -> None:
    weights = [[4.0, 0.0, 0.0], [0.0, float("nan"), 0.0], [0.0, 0.0, 2.0], [-1.0, -1.0, -1.0]]
    explainer = Explainer(write_artifact(tmp_path / "a.onnx", weights=weights))
    explanation = explainer.explain(SCENE, [0, 1])
    assert explanation.status == ["ok", "nonfinite"]
    assert not explanation.heatmaps[1].any()
    np.testing.assert_array_equal(explanation.overlay(1), SCENE)
    summary = json.loads(json.dumps(explanation.to_dict(), allow_nan=False))
    assert summary["classes"][1]["score"] is None
    assert summary["classes"][1]["map_maximum"] is None


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
    score = Score(**{**SCORE.__dict__, **changes})
    got = probabilities(score, np.array(output, np.float32))
    np.testing.assert_array_equal(got, np.array(expected, np.float32))
    assert probabilities(replace(SCORE, activation="none"), np.zeros(3)) is None


def test_saving_to_a_folder_names_files_after_picture_and_class(
    explainer: Explainer, tmp_path: Path
) -> None:
    explanation = explainer.explain(SCENE, ["red", "green"])
    paths = explanation.save(tmp_path / "out")
    assert paths == [tmp_path / "out" / "image-red.png", tmp_path / "out" / "image-green.png"]
    stored = cv2.imdecode(np.fromfile(paths[1], np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]
    np.testing.assert_array_equal(stored, explanation.overlay("green"))


def test_saving_to_a_file(explainer: Explainer, tmp_path: Path) -> None:
    explanation = explainer.explain(SCENE, [0, 1, 0])
    assert explanation.save(tmp_path / "a.png", which=1) == [tmp_path / "a.png"]
    names = [path.name for path in explanation.save(tmp_path / "b.jpg")]
    assert names == ["b-red.jpg", "b-green.jpg", "b-red-2.jpg"]


def test_the_summary_is_json(explainer: Explainer) -> None:
    explanation = explainer.explain(SCENE, ["red", "empty"])
    summary = json.loads(json.dumps(explanation.to_dict(), allow_nan=False))
    assert explanation.probabilities is not None
    assert summary == {
        "name": "image",
        "width": 160,
        "height": 80,
        "layer": "features.0",
        "method": "gradcam",
        "classes": [
            {
                "id": 0,
                "label": "red",
                "score": pytest.approx(float(explanation.scores[0])),
                "probability": pytest.approx(float(explanation.probabilities[0])),
                "status": "ok",
                "map_maximum": pytest.approx(float(explanation.maps[0].max())),
            },
            {
                "id": 3,
                "label": "empty",
                "score": pytest.approx(float(explanation.scores[1])),
                "probability": pytest.approx(float(explanation.probabilities[3])),
                "status": "zero",
                "map_maximum": 0.0,
            },
        ],
    }
    assert len(repr(explanation)) < 600


def test_a_class_that_was_not_explained_is_refused(explainer: Explainer) -> None:
    explanation = explainer.explain(SCENE, ["red", "green"])
    for which in (2, -1, "blue"):
        with pytest.raises(ClassError, match=rf"no explained class {which!r}; explained are"):
            explanation.overlay(which)
