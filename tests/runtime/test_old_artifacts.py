"""Artifacts of specification 1, written by version 0.1.0 before its rooms, keep giving their maps.

``tests/data/spec1`` holds the files and, in ``expected.npz``, what that version's runtime gave.
"""

from __future__ import annotations

import numpy as np
import pytest

from graftcam.runtime import Explainer
from support.paths import DATA

FOLDER = DATA / "spec1"
EXPECTED = np.load(FOLDER / "expected.npz")
# Kernels of other ONNX Runtime versions and processors round differently.
CLOSE = {"rtol": 1e-3, "atol": 1e-6}


@pytest.mark.parametrize(
    ("name", "request_", "expected"),
    [
        ("classifier", {"classes": [0, 1]}, "classifier_maps"),
        ("classifier", {"classes": [1], "method": "saliency"}, "classifier_saliency"),
        ("embedded", {"classes": ["dog"]}, "embedded_maps"),
        ("segmenter", {"classes": [2]}, "segmenter_maps"),
        ("linear", {"score_weights": [-1.0, 1.0, 0.0]}, "linear_maps"),
    ],
)
def test_maps_of_old_artifacts(name: str, request_: dict[str, object], expected: str) -> None:
    explainer = Explainer(FOLDER / f"spec1-{name}.onnx")
    explanation = explainer.explain(EXPECTED["image"], **request_)  # pyright: ignore
    assert np.abs(EXPECTED[expected]).max() > 1e-4
    np.testing.assert_allclose(explanation.maps, EXPECTED[expected], **CLOSE)


def test_labels_scores_and_heads_of_an_old_artifact() -> None:
    explainer = Explainer(FOLDER / "spec1-classifier.onnx")
    explanation = explainer.explain(EXPECTED["image"], classes=[0, 1])
    assert explanation.labels == ["cat", "dog"]
    np.testing.assert_allclose(explanation.scores, EXPECTED["classifier_scores"], **CLOSE)
    ablated = explainer.explain(EXPECTED["image"], classes=[1], method="ablationcam")
    assert ablated.maps.shape == (1, 8, 8)
    assert ablated.status == ["ok"]


def test_records_of_old_artifacts() -> None:
    spec = Explainer(FOLDER / "spec1-classifier.onnx").spec
    assert spec.version == 1
    assert [layer.name for layer in spec.layers] == ["r", "r2"]
    assert spec.layers[0].methods == {
        "layercam": "heatmap.layercam.r", "eigencam": "heatmap.eigencam.r"
    }  # fmt: skip
    assert spec.verification.verdict == "pass"
