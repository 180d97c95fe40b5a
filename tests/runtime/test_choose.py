"""Classes and layers go by the names that people use, and unknown ones get a hint."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.errors import ClassError, InputError
from support.artifacts import SCENE, spec, write_artifact, write_two_layers


def test_the_top_classes_are_the_default(explainer: Explainer) -> None:
    order = explainer.explain(SCENE, []).output.argsort()[::-1].tolist()
    assert explainer.explain(SCENE).classes == order[:1]
    assert explainer.explain(SCENE, top=3).classes == order[:3]
    assert explainer.explain(SCENE, top=4).classes == order


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ("blue", [2]),
        (" Blue ", [2]),
        (2, [2]),
        ("2", [2]),
        (np.int64(2), [2]),
        (np.array([2, 0]), [2, 0]),
        ([0, "blue", 0], [0, 2, 0]),
        (-4, [3]),
        ([], []),
    ],
)
def test_classes_go_by_id_label_or_rank(
    explainer: Explainer, classes: object, expected: list[int]
) -> None:
    explanation = explainer.explain(SCENE, classes)  # pyright: ignore[reportArgumentType]
    assert explanation.classes == expected
    assert explanation.heatmaps.shape == (len(expected), 80, 160)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"classes": 4}, "class 4 is out of range; the model has 4 classes: 0 to 3"),
        ({"classes": [0, -5]}, "class -5 is out of range"),
        ({"classes": "gren"}, "unknown label 'gren'; nearest: 'green', 'red'"),
        (
            {"classes": "zebra crossing"},
            "unknown label 'zebra crossing'; give an id, or one of the 4 labels, such as 'red'",
        ),
        ({"classes": "e"}, "unknown label 'e'; nearest: 'red', 'green', 'blue', 'empty'"),
        ({"classes": 1.5}, "class 1.5 is neither an id nor a label"),
        ({"top": 0}, "top=0 is out of range; the model has 4 classes"),
        ({"top": 5}, "top=5 is out of range"),
    ],
)
def test_classes_that_are_not_there_are_refused(
    explainer: Explainer, arguments: dict[str, int], message: str
) -> None:
    with pytest.raises(ClassError, match=message):
        explainer.explain(SCENE, **arguments)


def test_an_ambiguous_label_is_refused(tmp_path: Path) -> None:
    record = spec(labels=["crane", "bird", "Crane", "7"])
    explainer = Explainer(write_artifact(tmp_path / "a.onnx", record))
    with pytest.raises(ClassError, match=r"label 'crane' names several classes, \[0, 2\]"):
        explainer.explain(SCENE, "crane")
    # A label that is a number comes before the class of that number.
    assert explainer.explain(SCENE, "7").classes == [3]


def test_without_labels_ids_serve(tmp_path: Path) -> None:
    explainer = Explainer(write_artifact(tmp_path / "a.onnx", spec(labels=None)))
    assert explainer.explain(SCENE, 2).labels == ["2"]
    with pytest.raises(ClassError, match="unknown label 'red': the artifact stores no labels"):
        explainer.explain(SCENE, "red")


def test_a_layer_goes_by_name(explainer: Explainer) -> None:
    assert explainer.explain(SCENE, layer="features.0").layer == "features.0"
    with pytest.raises(InputError, match=r"unknown layer 'feature.0'; did you mean 'features.0'\?"):
        explainer.explain(SCENE, layer="feature.0")


def test_a_second_layer_is_read_from_its_own_outputs(tmp_path: Path) -> None:
    explainer = Explainer(write_two_layers(tmp_path / "a.onnx"))
    explanation = explainer.explain(SCENE, [0, 1, 2], layer="coarse")
    assert explanation.layer == "coarse"
    assert explanation.maps.shape == (3, 2, 4)
    assert explainer.explain(SCENE, [0, 1, 2]).maps.shape == (3, 8, 8)
