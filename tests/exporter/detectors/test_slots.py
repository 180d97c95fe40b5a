"""Slots with equal scores are compared whatever their order; what they hold must be the same."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import onnx
import pytest

from graftcam import export
from graftcam.exporter.verify.runs.slots import slots_in_order
from graftcam.runtime.spec.detector import BoxEntries, Detector
from support.detectors import Tiny, detector

SLOTS = np.array([[[1, 2, 3, 4, 0.5, 0], [5, 6, 7, 8, 0.5, 2], [0, 0, 9, 9, 0.1, 1]]], np.float32)


@pytest.fixture(scope="module")
def record(tmp_path_factory: pytest.TempPathFactory) -> Detector:
    folder = tmp_path_factory.mktemp("slots")
    onnx.save(detector(Tiny("end_to_end")), folder / "plain.onnx")
    found = export(folder / "plain.onnx", folder / "m.onnx", verify="off").spec.detector
    assert found is not None
    return replace(found, score_entries=[BoxEntries("output0", 1, 4, 1)])


def ordered(record: Detector | None, own: Any, given: Any) -> Any:
    return slots_in_order(record, {"output0": own}, {"output0": given})["output0"]


def test_equal_scores_come_in_the_order_of_the_other(record: Detector) -> None:
    np.testing.assert_array_equal(ordered(record, SLOTS[:, [1, 0, 2]], SLOTS), SLOTS)


def test_other_scores_and_other_models_keep_their_order(record: Detector) -> None:
    turned = SLOTS[:, [0, 2, 1]]
    np.testing.assert_array_equal(ordered(None, turned, SLOTS), turned)
    higher = SLOTS + np.array([0, 0, 0, 0, 0.01, 0], np.float32)
    np.testing.assert_array_equal(ordered(record, higher, SLOTS), higher)


def test_a_slot_that_holds_another_box_stays_different(record: Detector) -> None:
    wrong = SLOTS.copy()
    wrong[0, 0, 2] += 1
    assert np.abs(ordered(record, wrong[:, [1, 0, 2]], SLOTS) - SLOTS).max() == 1
