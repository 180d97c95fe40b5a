"""A detector's boxes and their maps, of a detector whose values can be computed by hand."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.boxes.detections import Detection
from graftcam.runtime.errors import ClassError, InputError, SpecError
from graftcam.runtime.explain.box_maps import MOST_AT_ONCE
from graftcam.runtime.explain.fuse_layers import sum_levels
from graftcam.runtime.output.box_explanation import BoxExplanation
from graftcam.runtime.spec.detector import BoxEntries, Level
from support.artifacts import write_artifact
from support.box_artifacts import letterbox, street, write_detector

SCENE = street()
DARK = np.zeros((40, 40, 3), np.uint8)


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(write_detector(tmp_path_factory.mktemp("detector") / "cells.onnx"))


def test_boxes_lie_in_the_image(explainer: Explainer) -> None:
    found = explainer.detect(SCENE, conf=0.5)
    assert found.boxes.tolist() == [[0, 32, 32, 64], [32, 96, 64, 128]]
    assert found.labels == ["red", "green"]
    assert found.indices.tolist() == [5, 14]
    assert [(one.number, one.level, one.layer) for one in found] == [(1, 1, "fine"), (2, 1, "fine")]
    np.testing.assert_allclose(found.scores, 1 / (1 + np.exp(-14)), rtol=1e-6)


def test_thresholds_limits_and_classes(explainer: Explainer) -> None:
    every = explainer.detect(SCENE)
    assert [one.level for one in every] == [1, 1, 2, 2]
    assert len(explainer.detect(SCENE, limit=3)) == 3
    assert explainer.detect(SCENE, classes="green").labels == ["green", "green"]
    assert len(explainer.detect(SCENE, conf=0.5, iou=0)) == 2
    assert len(explainer.detect(SCENE, iou=0)) == 2  # the coarse boxes contain the fine ones
    assert not explainer.detect(DARK)


def test_each_box_has_the_map_of_its_own_cell(explainer: Explainer) -> None:
    found = explainer.explain_boxes(SCENE, conf=0.5)
    expected = np.zeros((2, 4, 4), np.float32)
    expected[0, 1, 1] = expected[1, 3, 2] = 20
    np.testing.assert_allclose(found.maps, expected, atol=1e-5)
    assert found.shares == pytest.approx([1, 1])
    assert found.scores.tolist() == pytest.approx([14, 14])
    assert found.method == "hirescam"
    assert found.layer == "sum of fine, coarse"
    assert found["green"].detection.index == 14
    assert found[0].probability == pytest.approx(found[0].detection.score)


def test_explain_explains_a_detectors_boxes(explainer: Explainer) -> None:
    found = explainer.explain(SCENE, conf=0.5)
    assert isinstance(found, BoxExplanation)
    assert [one.label for one in found] == ["red", "green"]
    nothing = explainer.explain(SCENE, [])
    assert isinstance(nothing, BoxExplanation)
    assert not len(nothing)
    assert len(nothing.detections) == 4
    assert explainer.explain([]) == []


def test_edges_look_at_blue(explainer: Explainer) -> None:
    image = SCENE.copy()
    image[32:64, 0:32] = (255, 0, 128)
    found = explainer.explain_boxes(image, 2, "edges")  # blue speaks against red
    assert found.whys == ["left", "top", "right", "bottom"]
    assert found.labels == ["red left", "red top", "red right", "red bottom"]
    blue = 128 / 255
    # 8 pixels wide around 12, and 8 * blue wider; in pixels of the model's input.
    assert found.scores.tolist() == pytest.approx([8 - 4 * blue, 8, 16 + 4 * blue, 16], rel=1e-5)
    assert found.maps[2, 1, 1] == pytest.approx(4 * blue, rel=1e-5)
    assert found.status == ["zero", "zero", "ok", "zero"]  # a wider box moves its left edge away
    assert found.shares == [None, None, pytest.approx(1), None]
    assert found[0].probability is None


def test_boxes_by_number_by_index_and_as_detections(explainer: Explainer) -> None:
    assert [one.index for one in explainer.explain_boxes(SCENE, [2, 1]).explained] == [14, 5]
    green = explainer.detect(SCENE)[1]
    assert [one.index for one in explainer.explain_boxes(SCENE, green).explained] == [14]
    by_index = explainer.explain_boxes(SCENE, box_index=[0, -1])
    assert [one.index for one in by_index.explained] == [0, 5]
    assert by_index.scores.tolist() == pytest.approx([-6, 14])


def test_many_boxes_take_several_runs(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    every = explainer.explain_boxes(SCENE, box_index=range(20), why=["class", "right"])
    assert every.maps.shape == (40, 4, 4)
    sizes: list[tuple[int, ...]] = []
    run = explainer._session.run

    def counted(feeds: dict[str, np.ndarray], names: list[str]) -> dict[str, np.ndarray]:
        sizes.append(feeds["class_index"].shape)
        return run(feeds, names)

    monkeypatch.setattr(explainer._session, "run", counted)
    one_by_one = [explainer.explain_boxes(SCENE, box_index=n).scores[0] for n in range(20)]
    np.testing.assert_array_equal(every.scores[::2], one_by_one)
    sizes.clear()
    explainer.explain_boxes(SCENE, box_index=range(9))
    assert sizes == [(1, 0), (1, MOST_AT_ONCE), (1, MOST_AT_ONCE), (1, 1)]


@pytest.mark.parametrize("batch", ["N", 1, 3])
def test_a_batch_equals_its_images(tmp_path: Path, batch: int | str) -> None:
    explainer = Explainer(write_detector(tmp_path / "cells.onnx", batch=batch))
    turned = np.ascontiguousarray(SCENE[::-1])
    red = SCENE * np.array([1, 0, 0], np.uint8)
    images = [SCENE, DARK, turned, red, SCENE]  # of batches of three, the second has a copy
    together = explainer.explain_boxes(images)
    for image, found in zip(images, together, strict=True):
        alone = explainer.explain_boxes(image)
        assert [one.index for one in found.explained] == [one.index for one in alone.explained]
        np.testing.assert_allclose(found.maps, alone.maps, atol=1e-6)
        assert found.shares == alone.shares
    assert [len(one) for one in together] == [4, 0, 4, 2, 4]


def test_a_formula_equals_the_artifacts_map(explainer: Explainer) -> None:
    own = explainer.explain_boxes(SCENE)
    computed = explainer.explain_boxes(SCENE, method="hirescam", options={"relu": True})
    np.testing.assert_allclose(computed.maps, own.maps, atol=1e-5)
    fine = explainer.explain_boxes(SCENE, layer="fine")
    coarse = explainer.explain_boxes(SCENE, layer="coarse")
    assert fine.maps[2].max() == 0
    assert coarse.maps.shape == (4, 2, 2)
    np.testing.assert_allclose(sum_levels([fine.maps[None], coarse.maps[None]])[0], own.maps,
                               atol=1e-5)  # fmt: skip
    by_two = explainer.compare(SCENE, ["layercam", "hirescam"])
    np.testing.assert_allclose(by_two[1].maps, own.maps, atol=1e-5)


@pytest.mark.parametrize("scored", ["table", "output0"])
def test_rise_finds_the_cell_of_a_box(tmp_path: Path, scored: str) -> None:
    score = replace(letterbox().score, value=scored)  # of some formats an output holds the scores
    explainer = Explainer(write_detector(tmp_path / "cells.onnx", letterbox(score=score)))
    options = {"masks": 200, "grid": 4}
    found = explainer.explain_boxes(SCENE, method="rise", options=options, conf=0.5)
    down, across = np.unravel_index(found.maps[1].argmax(), found.maps[1].shape)
    assert 22 <= down < 32  # the green cell: rows 24 to 32 and columns 16 to 24 of the input
    assert 14 <= across < 26


def test_the_best_candidate_below_the_threshold(explainer: Explainer) -> None:
    faint = np.clip(SCENE, 0, 60)
    found = explainer.explain_boxes(faint)
    assert not len(found)
    assert found.maps.shape[0] == 0
    assert found.detections.best is not None
    assert found.detections.best.index == 5
    near = explainer.explain_boxes(faint, near_miss=True)
    assert near.detections.near_miss
    assert [one.index for one in near.explained] == [5]
    green = explainer.explain_boxes(faint, near_miss=True, classes="green")
    assert [one.index for one in green.explained] == [14]
    plain = explainer.explain_boxes(SCENE, near_miss=True, conf=0.5)
    assert not plain.detections.near_miss
    assert len(plain) == 2


def test_slots_are_not_rerun_and_name_their_anchors(tmp_path: Path) -> None:
    record = letterbox(anchors="classes")  # any output of the shape [N, K] serves
    explainer = Explainer(write_detector(tmp_path / "slots.onnx", record))
    found = explainer.explain_boxes(SCENE, conf=0.5)
    assert [(one.anchor, one.level) for one in found.explained] == [(0, 1), (1, 1)]
    with pytest.raises(InputError, match="a slot of an end-to-end detector holds another box"):
        explainer.explain(SCENE, method="rise")


def test_levels_of_open_sizes_follow_from_the_grids(tmp_path: Path) -> None:
    levels = [Level("fine", None, None, []), Level("coarse", None, None, [])]
    open_sizes = Explainer(write_detector(tmp_path / "open.onnx", letterbox(levels=levels)))
    assert [one.level for one in open_sizes.detect(SCENE)] == [1, 1, 2, 2]
    queries = Explainer(
        write_detector(tmp_path / "queries.onnx", letterbox(levels=levels, format="queries"))
    )
    assert [one.level for one in queries.detect(SCENE)] == [None] * 4


def test_inputs_without_defaults_are_fed(tmp_path: Path) -> None:
    explainer = Explainer(write_detector(tmp_path / "web.onnx", defaults=False))
    assert len(explainer.explain_boxes(SCENE)) == 4
    image = np.zeros((1, 3, 32, 32), np.float32)
    assert explainer.run(image)["boxes"].shape == (1, 1, 4)


def test_files_tensors_and_many(explainer: Explainer, tmp_path: Path) -> None:
    path = tmp_path / "street.png"
    cv2.imwrite(str(path), SCENE[:, :, ::-1])
    many = list(explainer.explain_many([path, tmp_path / "none.png", SCENE], conf=0.5))
    assert [getattr(one, "shares", None) for one in many] == [[1, 1], None, [1, 1]]
    pixels = np.zeros((3, 32, 32), np.float32)
    pixels[0, 8:16, 8:16] = 1
    found = explainer.explain_boxes(pixels, conf=0.5)
    assert found.detections.boxes.tolist() == [[8, 8, 16, 16]]
    assert found.panel().shape[2] == 3


def test_run_takes_boxes(explainer: Explainer) -> None:
    image = np.random.default_rng(0).random((2, 3, 32, 32), np.float32)
    got = explainer.run(image, box_index=[[3, 19]], box_target=[[0, 3]])
    wide = got["output0"][:, :, 19]
    np.testing.assert_allclose(got["scores"][:, 1], wide[:, 0] + wide[:, 2] / 2, rtol=1e-6)
    assert explainer.run(image, np.zeros((1, 0), np.int64))["heatmap"].shape == (2, 0, 4, 4)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"box_index": [[20]]}, "box_index 20 is out of range; the model gives 20 boxes: 0 to 19"),
        ({"box_target": [[5]]}, "box_target 5 is out of range; give 0 .class., 1 .left."),
        ({"box_index": [[0.5]]}, "box_index is float64"),
        ({"box_index": [[1, 2]], "box_target": [[0, 1, 2]]}, "K as in class_index"),
    ],
)
def test_run_names_wrong_boxes(explainer: Explainer, values: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        explainer.run(np.zeros((1, 3, 32, 32), np.float32), **values)


@pytest.mark.parametrize(
    ("request_of", "message"),
    [
        ({"boxes": 5}, "box 5 is out of range; image has 4 boxes: 1 to 4"),
        ({"boxes": 0}, "box 0 is out of range"),
        ({"box_index": 20}, "box_index 20 is out of range; the model gives 20 boxes for image"),
        ({"boxes": 1, "box_index": 1}, "give one of them"),
        ({"conf": 1.5}, "conf=1.5 is out of range; give a number from 0 to 1"),
        ({"iou": -0.1}, "iou=-0.1 is out of range"),
        ({"conf": float("nan")}, "conf=nan is out of range"),
        ({"why": "lefft"}, "did you mean 'left'"),
        ({"limit": -1}, "limit=-1 is out of range"),
        ({"top": 3}, "a detector explains boxes, and takes no top"),
        ({"augment": True}, "takes no augment"),
        ({"classes": [-1]}, "not by rank"),
        ({"method": "finercam"}, "boxes are different scores"),
        ({"boxes": "one"}, "boxes='o'"),
        ({"method": "ablationcam"}, "reruns the head of one layer"),
        ({"method": "hirescan"}, "did you mean 'hirescam'"),
    ],
)
def test_wrong_requests(explainer: Explainer, request_of: dict, message: str) -> None:
    with pytest.raises(InputError, match=message):
        explainer.explain_boxes(SCENE, **request_of)


def test_unknown_classes_and_masks(explainer: Explainer, tmp_path: Path) -> None:
    with pytest.raises(ClassError, match="unknown label 'cat'"):
        explainer.detect(SCENE, classes="cat")
    record = letterbox(task="segment")
    with pytest.raises(InputError, match="by class and edges; masks are not drawn"):
        Explainer(write_detector(tmp_path / "seg.onnx", record)).explain(SCENE, why="mask")


def test_a_classifier_has_no_boxes(tmp_path: Path) -> None:
    classifier = Explainer(write_artifact(tmp_path / "classes.onnx"))
    for call in (classifier.detect, classifier.explain_boxes):
        with pytest.raises(InputError, match="is no detector's artifact; use explain"):
            call(SCENE)
    with pytest.raises(InputError, match="no detector, and takes no why"):
        classifier.explain(SCENE, why="left")
    with pytest.raises(InputError, match="takes no box_index"):
        classifier.run(np.zeros((1, 3, 32, 32), np.float32), box_index=[[0]])


@pytest.mark.parametrize(
    "changes",
    [
        {"labels": ["red"]},
        {"score_entries": [BoxEntries("output0", 2, 4, 1)]},
        {"levels": [Level("other", 0, 16, [8, 8])]},
        {"box_entries": [BoxEntries("output0", 2, 0, 3)]},
        {"box_entries": []},
        {"box_entries": [BoxEntries("scores", 1, 0, 4)]},
        {"box_entries": [BoxEntries("absent", 1, 0, 4)]},
    ],
)
def test_a_record_that_does_not_add_up(tmp_path: Path, changes: dict) -> None:
    path = write_detector(tmp_path / "broken.onnx", letterbox(**changes))
    with pytest.raises(SpecError, match="export again"):
        Explainer(path)


def test_the_summary_lists_boxes(explainer: Explainer) -> None:
    summary = explainer.explain_boxes(SCENE, 2).to_dict()
    assert [one["box_index"] for one in summary["boxes"]] == [5, 14, 16, 19]
    (only,) = summary["classes"]
    assert (only["number"], only["label"], only["why"], only["share"]) == (2, "green", "class", 1)
    assert summary["best"]["label"] == "red"


@pytest.mark.parametrize(("label", "name"), [("3", "class 3"), ("cat", "cat"), ("4", "4")])
def test_a_class_without_a_name_is_called_by_more_than_its_number(label: str, name: str) -> None:
    """A line is full of numbers; a label that is another number is a name."""
    assert Detection(1, (0, 0, 1, 1), 0.9, 3, label, 7).name == name


@pytest.mark.parametrize(("score", "text"), [(0.924, "0.92"), (0.00016, "0.0002"), (0.0, "0.00")])
def test_a_small_score_is_no_zero(score: float, text: str) -> None:
    assert Detection(1, (0, 0, 1, 1), score, 3, "cat", 7).probability == text
