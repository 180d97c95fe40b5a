"""Boxes of every format, read from outputs and compared with plain arithmetic."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from graftcam.runtime.boxes.decode import decode, entry_outputs
from graftcam.runtime.boxes.geometry import share_inside, to_image
from graftcam.runtime.boxes.suppress import suppress
from graftcam.runtime.errors import InputError
from graftcam.runtime.inputs.preprocess import Placement, place
from graftcam.runtime.spec.detector import BoxEntries, Detector
from support.artifacts import preprocess
from support.box_artifacts import letterbox

SIZE = (40, 80)
CORNERS = np.array([[[8, 4, 24, 12], [0, 0, 80, 40], [40, 10, 42, 30]]], np.float32)
LOGITS = np.array([[[2, -1, 0], [-3, 0.5, 4], [0, 0, -120]]], np.float32)
SIGMOID = 1 / (1 + np.exp(-LOGITS.astype(np.float64)))


def record(**changes: object) -> Detector:
    detector = letterbox().detector
    assert detector is not None
    plain = replace(
        detector, box_entries=[BoxEntries("boxes", 1, 0, 4)],
        score_entries=[BoxEntries("scores", 1, 0, 3)], box_layout="xyxy",
    )  # fmt: skip
    return replace(plain, **changes)  # pyright: ignore[reportArgumentType]


def centred(corners: np.ndarray) -> np.ndarray:
    left, top, right, bottom = np.moveaxis(corners, 2, 0)
    parts = [(left + right) / 2, (top + bottom) / 2, right - left, bottom - top]
    return np.stack(parts, axis=2)


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("layout", ["xyxy", "cxcywh"])
@pytest.mark.parametrize("units", ["pixels", "unit"])
@pytest.mark.parametrize("activated", [True, False])
def test_layouts_units_and_activations(axis: int, layout: str, units: str, activated: bool) -> None:
    numbers = CORNERS if layout == "xyxy" else centred(CORNERS)
    numbers = numbers / ([80, 40, 80, 40] if units == "unit" else 1)
    rows = np.concatenate([numbers, SIGMOID if activated else LOGITS], axis=2).astype(np.float32)
    detector = record(
        box_entries=[BoxEntries("all", axis, 0, 4)], score_entries=[BoxEntries("all", axis, 4, 3)],
        box_layout=layout, box_units=units, activated=activated,
    )  # fmt: skip
    outputs = {"all": rows if axis == 1 else rows.swapaxes(1, 2)}
    found = decode(detector, outputs, SIZE, "sigmoid")
    assert entry_outputs(detector) == ["all"]
    np.testing.assert_allclose(found.corners, CORNERS, atol=1e-4)
    np.testing.assert_allclose(found.scores, SIGMOID, atol=1e-6)
    scores, classes = found.best(0)
    assert classes.tolist() == [0, 2, 0]
    np.testing.assert_allclose(scores, SIGMOID[0].max(axis=1), atol=1e-6)


def test_softmax_leaves_out_the_class_of_no_object() -> None:
    outputs = {"boxes": CORNERS, "scores": LOGITS}
    detector = record(activated=False, no_object=True)
    found = decode(detector, outputs, SIZE, "softmax")
    powers = np.exp(LOGITS.astype(np.float64))
    expected = (powers / powers.sum(axis=2, keepdims=True))[:, :, :2]
    np.testing.assert_allclose(found.scores, expected, atol=1e-6)


@pytest.mark.parametrize("activated", [True, False])
def test_objectness_is_a_factor(activated: bool) -> None:
    there = np.array([[[0.5], [-2], [3]]], np.float32)
    chance = 1 / (1 + np.exp(-there))
    outputs = {
        "boxes": CORNERS, "scores": SIGMOID.astype(np.float32) if activated else LOGITS,
        "there": chance if activated else there,
    }  # fmt: skip
    detector = record(activated=activated, objectness_entries=[BoxEntries("there", 1, 0, 1)])
    # The artifact's score is a sum of logarithms then, which the record calls "none".
    found = decode(detector, outputs, SIZE, "none")
    np.testing.assert_allclose(found.scores, SIGMOID * chance, atol=1e-6)


def test_levels_are_joined_in_their_order() -> None:
    outputs = {
        "b0": CORNERS[:, :2], "b1": CORNERS[:, 2:].swapaxes(1, 2),
        "s0": SIGMOID[:, :2].astype(np.float32), "s1": SIGMOID[:, 2:].astype(np.float32),
    }  # fmt: skip
    detector = record(
        box_entries=[BoxEntries("b0", 1, 0, 4), BoxEntries("b1", 2, 0, 4)],
        score_entries=[BoxEntries("s0", 1, 0, 3), BoxEntries("s1", 1, 0, 3)],
    )
    found = decode(detector, outputs, SIZE, "sigmoid")
    np.testing.assert_allclose(found.corners, CORNERS)
    np.testing.assert_allclose(found.scores, SIGMOID, atol=1e-6)


def test_slots_have_a_score_and_a_class() -> None:
    slots = np.concatenate([CORNERS, [[[0.9, 7], [0.4, 2], [0.1, 7]]]], axis=2)
    detector = record(
        box_entries=[BoxEntries("slots", 1, 0, 4)], score_entries=[BoxEntries("slots", 1, 4, 1)],
        class_entries=[BoxEntries("slots", 1, 5, 1)], final=True,
    )  # fmt: skip
    found = decode(detector, {"slots": slots.astype(np.float32)}, SIZE, "sigmoid")
    scores, classes = found.best(0)
    assert classes.tolist() == [7, 2, 7]
    np.testing.assert_allclose(scores, [0.9, 0.4, 0.1], atol=1e-6)
    np.testing.assert_allclose(found.best(0, [2])[0], [0, 0.4, 0], atol=1e-6)


def test_boxes_that_are_not_finite_are_no_candidates() -> None:
    corners = CORNERS.copy()
    corners[0, 1, 2] = np.nan
    outputs = {"boxes": corners, "scores": SIGMOID.astype(np.float32)}
    scores, _ = decode(record(), outputs, SIZE, "sigmoid").best(0)
    assert scores[1] == 0
    assert scores[0] > 0


def test_other_numbers_of_boxes_than_of_scores() -> None:
    outputs = {"boxes": CORNERS[:, :2], "scores": LOGITS}
    with pytest.raises(InputError, match="hold 2 boxes and 3 scores"):
        decode(record(), outputs, SIZE, "sigmoid")


BOXES = np.array([[0, 0, 10, 10], [1, 1, 11, 11], [1, 1, 11, 11], [-90, 0, -80, 10]], np.float32)
SCORES = np.array([0.6, 0.9, 0.5, 0.3], np.float32)
CLASSES = np.array([3, 3, 8, 3])


def kept(
    conf: float = 0.25, iou: float = 0.45, limit: int = 9, *, final: bool = False
) -> list[int]:
    return suppress(BOXES, SCORES, CLASSES, conf, iou, limit, final=final).tolist()


def test_boxes_are_suppressed_within_their_class() -> None:
    assert kept() == [1, 2, 3]  # box 0 overlaps box 1 of its class by 81 / 119
    assert kept(iou=0.7) == [1, 0, 2, 3]
    assert kept(final=True) == [1, 0, 2, 3]
    assert kept(conf=0.55) == [1]
    assert kept(limit=2) == [1, 2]
    assert kept(conf=0.95) == []


def test_a_box_outside_the_image_does_not_meet_another_class() -> None:
    # OpenCV moves classes apart by the largest coordinate, 11: box 1 would lie on box 0.
    boxes = np.array([[0, 0, 10, 10], [-11, -11, -1, -1]], np.float32)
    found = suppress(boxes, np.array([0.9, 0.8], np.float32), np.array([0, 1]), 0.1, 0.01, 9)
    assert found.tolist() == [0, 1]


@pytest.mark.parametrize("anchor", [None, "top_left", "lower"])
@pytest.mark.parametrize("shape", [(100, 40), (33, 200), (64, 64)])
def test_a_letterbox_is_undone_to_the_pixel(anchor: str | None, shape: tuple[int, int]) -> None:
    transform = preprocess(resize=[32, 32], resize_mode="fit", anchor=anchor)
    placement = place(transform, *shape)
    (top, left), (tall, wide) = placement.offset, placement.resized
    inside = np.array([-left, -top, wide - left, tall - top], np.float32)
    height, width = shape
    np.testing.assert_allclose(to_image(inside, placement), [0, 0, width, height], atol=1e-4)
    half = np.array([wide / 2 - left, tall / 2 - top, 99, 99], np.float32)
    np.testing.assert_allclose(to_image(half, placement), [width / 2, height / 2, width, height],
                               atol=1e-4)  # fmt: skip


def test_a_crop_is_undone() -> None:
    placement = Placement((80, 160), (40, 80), (4, 24), (32, 32))
    found = to_image(np.array([0, 0, 32, 16], np.float32), placement)
    np.testing.assert_allclose(found, [48, 8, 112, 40])


def test_the_share_of_a_map_counts_the_covered_area_of_cells() -> None:
    heatmap = np.array([[1, 3], [-9, 4]], np.float32)
    assert share_inside(heatmap, (0, 0, 20, 20), (20, 20)) == 1
    assert share_inside(heatmap, (10, 0, 20, 10), (20, 20)) == pytest.approx(3 / 8)
    assert share_inside(heatmap, (5, 0, 15, 20), (20, 20)) == pytest.approx((0.5 + 1.5 + 2) / 8)
    assert share_inside(heatmap, (-5, -5, 99, 10), (20, 20)) == pytest.approx(4 / 8)
    assert share_inside(heatmap, (12, 12, 12, 15), (20, 20)) == 0
    assert share_inside(np.zeros((2, 2), np.float32), (0, 0, 9, 9), (20, 20)) is None
