"""Slots that TopK selects: each knows its anchor and its class."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from graftcam.exporter import ScoreError, export
from graftcam.runtime.spec import Spec
from support.detectors import SIZE, Tiny, detector
from support.sessions import run

SLOTS = 5
FORMS = {
    "two selections": Tiny("end_to_end", corners=True),
    "two selections, masks": Tiny("end_to_end", corners=True, extra=3),
    "one selection of centres": Tiny("one_selection"),
    "one selection of shares": Tiny("one_selection", unit=True),
}


def made(folder: Path, tiny: Tiny, **options: Any) -> tuple[Path, Spec]:
    plain, path = folder / "plain.onnx", folder / "artifact.onnx"
    plain.write_bytes(detector(tiny).SerializeToString())
    return path, export(plain, path, verify="off", **options).spec


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_each_slot_is_the_row_of_the_models_output(tmp_path: Path, form: str, seed: int) -> None:
    tiny = FORMS[form]
    path, spec = made(tmp_path, tiny)
    x = np.random.default_rng(seed).random((1, 3, SIZE, SIZE), np.float32)
    found = run(path, {"images": x, "box_index": np.arange(SLOTS)[None]})
    rows, block = found["output0"][0], spec.detector
    assert block is not None
    boxes = rows[:, :4] * (SIZE if tiny.unit else 1)
    if not tiny.corners:
        half = boxes[:, 2:] / 2
        boxes = np.concatenate([boxes[:, :2] - half, boxes[:, :2] + half], 1)
    np.testing.assert_allclose(found[block.boxes][0], boxes, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(found[spec.classes or ""][0], rows[:, 5])
    np.testing.assert_allclose(1 / (1 + np.exp(-found[spec.scores][0])), rows[:, 4], rtol=1e-5)
    assert (block.format, block.final) == ("end_to_end", True)
    assert block.class_entries is not None
    assert block.class_entries[0].first == 5


@pytest.mark.parametrize("ending", ["end_to_end", "one_selection"])
def test_a_slots_gradient_is_that_of_its_anchor(tmp_path: Path, ending: Any) -> None:
    """A dense detector with the same weights explains the anchor that the slot names."""
    path, spec = made(tmp_path, Tiny(ending, corners=True))
    x = np.random.default_rng(4).random((1, 3, SIZE, SIZE), np.float32)
    target = np.array([[0, 0, 0, 1, 4]])
    found = run(path, {"images": x, "box_index": np.arange(SLOTS)[None], "box_target": target})
    assert spec.detector is not None
    anchors = found[spec.detector.anchors or ""]
    assert len(set(anchors[0])) > 2
    dense, dense_spec = made(tmp_path, Tiny(corners=True))
    feeds = {"box_index": anchors, "class_index": found[spec.classes or ""], "box_target": target}
    expected = run(dense, {"images": x, **feeds})
    for one, other in zip(spec.layers, dense_spec.layers, strict=True):
        np.testing.assert_allclose(found[one.gradients], expected[other.gradients], rtol=1e-5,
                                   atol=1e-7)  # fmt: skip


def test_a_class_that_is_asked_for_is_explained_at_the_slots_anchor(tmp_path: Path) -> None:
    path, spec = made(tmp_path, FORMS["two selections"])
    x = np.random.default_rng(5).random((1, 3, SIZE, SIZE), np.float32)
    found = run(path, {"images": x, "box_index": np.array([[1]]), "class_index": np.array([[2]])})
    dense = run(detector(Tiny(corners=True)).SerializeToString(), {"images": x})["output0"][0]
    assert spec.detector is not None
    anchor = found[spec.detector.anchors or ""][0, 0]
    p = dense[4 + 2, anchor]
    np.testing.assert_allclose(found[spec.scores][0, 0], np.log(p / (1 - p)), rtol=1e-4)


def test_names_that_do_not_fit_are_refused_with_both_numbers(tmp_path: Path) -> None:
    tiny = Tiny("end_to_end", corners=True, names=["cat", "dog"])
    with pytest.raises(ScoreError, match="those of 3 classes, and its metadata name 2"):
        made(tmp_path, tiny)
