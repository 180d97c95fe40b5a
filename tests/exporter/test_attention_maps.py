"""An artifact that makes maps of attention and gives no tensors of it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from graftcam import Explainer, export
from graftcam.exporter.release import verify_artifact
from graftcam.runtime.errors import InputError
from support.multiply import multiply
from support.small_vit import SmallVit


@pytest.fixture(scope="module")
def maps_only(tmp_path_factory: Any) -> Path:
    """An artifact that makes all maps itself and gives no large tensors, verified."""
    torch.manual_seed(1)
    path = tmp_path_factory.mktemp("maps") / "model.onnx"
    extras = ["rollout", "gradient-rollout", "legrad", "grad-eclip"]
    report = export(SmallVit(blocks=2).eval(), path, (torch.zeros(2, 3, 24, 32),), extras=extras)
    errors = report.verification.errors
    assert {"attention_gradients", "legrad", *(f"heatmap.{one}" for one in extras)} <= {*errors}
    assert max(errors.values()) < 1e-4
    return path


def test_maps_alone_leave_the_weights_in_the_graph(maps_only: Path) -> None:
    explainer = Explainer(maps_only)
    assert explainer.spec.attention is not None
    assert not any(block.weights for block in explainer.spec.attention.blocks)
    image = np.zeros((1, 3, 24, 32), np.float32)
    (found,) = explainer.explain(image, method="rollout")
    assert found.maps.shape == (1, 3, 4)
    with pytest.raises(InputError, match="for others export it with --layer attention"):
        explainer.explain(image, method="rollout", options={"fusion": "max"})
    with pytest.raises(InputError, match=r"the artifact has the maps of .* only"):
        explainer.explain(image, method="attention")
    layer = explainer.spec.layers[0].name
    with pytest.raises(InputError, match="follows attention through the model, not a layer"):
        explainer.explain(image, method="rollout", layer=layer)


@pytest.mark.parametrize(
    ("part", "fails"),
    [
        ("attention_gradients.blocks.0.attn", "gradients"),
        ("legrad.blocks.0.attn", "legrad"),
        ("heatmap.rollout", "heatmap.rollout"),
        ("heatmap.grad-eclip", "heatmap.grad-eclip"),
    ],
)
def test_the_verification_finds_what_is_wrong(
    maps_only: Path, tmp_path: Path, part: str, fails: str
) -> None:
    path = tmp_path / "model.onnx"
    multiply(maps_only, path, part, 1.1)
    _, verdict = verify_artifact(path, everything=True)
    assert fails in " ".join(f"{one.check} {one.subject}" for one in verdict.failures)
