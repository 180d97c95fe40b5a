"""Heatmaps made from the artifact's activations and gradients."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.methods import METHODS, gradcam

from .artifacts import SCENE, peak, write_artifact

if TYPE_CHECKING:
    pass


@pytest.fixture(scope="module")
def explainer(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(write_artifact(tmp_path_factory.mktemp("model") / "patches.onnx"))


def test_the_baked_map_is_the_methods_definition(explainer: Explainer) -> None:
    image = np.random.default_rng(0).normal(size=(2, 3, 32, 32)).astype(np.float32)
    outputs = explainer.run(image, [[0, 1, 3]])
    maps = METHODS["gradcam"](outputs["activations"], outputs["gradients"])
    assert outputs["heatmap"][:, :2].max() > 0
    np.testing.assert_allclose(maps, outputs["heatmap"], rtol=1e-5, atol=1e-7)


def test_methods_weigh_channels_by_the_mean_gradient() -> None:
    activations = np.array([[[1.0, 2.0, 3.0], [1.0, 0.0, -1.0]]])
    gradients = np.array([[[[3.0, 0.0, 0.0], [0.0, 0.0, -6.0]], [[-1.0, -1.0, -1.0], [0, 0, 0]]]])
    # Weights (1, -2) and (-1, 0) on maps (1, 2, 3) and (1, 0, -1), then ReLU.
    np.testing.assert_array_equal(gradcam(activations, gradients), [[[0, 2, 5], [0, 0, 0]]])


def test_other_methods_get_activations_and_gradients(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(METHODS, "redness", lambda a, g: a[:, :1] * np.ones_like(g[:, :, 0]))
    explanation = explainer.explain(SCENE, ["green", "blue"], method="redness")
    assert explanation.method == "redness"
    assert peak(explanation.heatmaps[1]) == (32, 88)
