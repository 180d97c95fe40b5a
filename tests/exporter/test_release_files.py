"""`graftcam verify --against` an ONNX file whose scores are no value of its own graph."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from graftcam.exporter import export
from graftcam.exporter.release import verify_artifact
from graftcam.exporter.source.named import Source
from support.onnx_bytes import onnx_model
from support.small_detector import export_detector


def _boxes(folder: Path) -> tuple[Path, Path]:
    artifact = export_detector(folder / "m.onnx")
    return folder / "plain-m.onnx", artifact


def _classes_last(folder: Path) -> tuple[Path, Path]:
    draw = np.random.default_rng(0).standard_normal
    text = """<ir_version: 8, opset_import: ["" : 18]>
    last (float[N, 3, 8, 8] image) => (float[N, 8, 8, 3] out) {
        sums = Conv <pads = [1, 1, 1, 1]> (image, kernel)
        maps = Tanh(sums)
        scores = Conv(maps, head)
        bent = Tanh(scores)
        out = Transpose <perm = [0, 2, 3, 1]> (bent) }"""
    weights = {"kernel": draw((4, 3, 3, 3)), "head": draw((3, 4, 1, 1))}
    plain = folder / "plain.onnx"
    plain.write_bytes(onnx_model(text, {k: v.astype(np.float32) for k, v in weights.items()}))
    export(plain, folder / "m.onnx", class_axis=3, layers="maps", verify="off")
    return plain, folder / "m.onnx"


@pytest.mark.parametrize("make", [_boxes, _classes_last])
def test_gradients_are_compared_with_differences_of_the_source(
    tmp_path: Path, make: Callable[[Path], tuple[Path, Path]]
) -> None:
    plain, artifact = make(tmp_path)
    _, verdict = verify_artifact(artifact, Source(plain, "plain"))
    found = {(one.check, one.subject): one for one in verdict.findings}
    gradients = [one for (check, _), one in found.items() if check == "gradients"]
    assert gradients
    assert {one.status for one in gradients} == {"pass"}, [one.reason for one in gradients]
    assert (verdict.status, verdict.reference) == ("pass", "finite-differences")
