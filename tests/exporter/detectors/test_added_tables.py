"""Where no output holds decoded boxes, the artifact adds them, and is verified and read by them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx

from graftcam import Explainer, export
from support.detectors import SIZE, Tiny, detector


def test_the_scored_output_is_the_added_one_and_boxes_are_found_by_it(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.onnx", tmp_path / "m.onnx"
    onnx.save(detector(Tiny("nms")), plain)
    spec = export(plain, path, preprocess="unit", verify="quick").spec
    assert spec.detector is not None
    assert spec.detector.tables == ["all_boxes", "all_scores"]
    assert (spec.score.output, spec.score.activated) == ("all_scores", True)
    assert spec.verification.verdict == "pass"
    photo = np.random.default_rng(0).integers(0, 255, (SIZE, SIZE, 3), np.uint8)
    explained = Explainer(path).explain_boxes(photo, conf=0.0, limit=3)
    assert [len(explained.maps), len(explained.explained)] == [3, 3]
