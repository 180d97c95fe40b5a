"""Where ONNX Runtime rounds more than PyTorch, its own levels say how much; faults stay faults."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch

from graftcam.exporter import export
from graftcam.exporter.release import verify_artifact
from graftcam.exporter.source.named import Source
from graftcam.exporter.verify.checks import engine_noise
from graftcam.exporter.verify.runs.artifact import Artifact
from graftcam.exporter.verify.runs.matrix import FirstRun, Truth
from graftcam.exporter.verify.verdict.compare import relative_errors
from graftcam.runtime import Explainer

NAME = "logits"


def _model() -> torch.nn.Module:
    torch.manual_seed(0)
    layers = torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(), torch.nn.AdaptiveAvgPool2d(1)
    return torch.nn.Sequential(*layers, torch.nn.Flatten(), torch.nn.Linear(4, 3)).eval()


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    path = tmp_path_factory.mktemp("noise") / "a.onnx"
    export(_model(), path, (torch.randn(2, 3, 8, 8),), output_names=[NAME], verify="off")
    return Artifact(path, Explainer(path).spec)


def own_errors(artifact: Artifact, change: float, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Own errors of two images where another level gives other outputs for the first."""
    feeds = {"input": np.random.default_rng(0).standard_normal((2, 3, 8, 8), np.float32)}
    feeds = {artifact.inputs[0].name: feeds["input"]}
    results = artifact.run({**feeds, **artifact.request(np.array([[0], [1]]))})
    run = Artifact.run

    def other(self: Artifact, given: Any, region: Any = None) -> Any:
        found = run(self, given, region)
        if self.level == "disable":
            found[NAME] = found[NAME] * np.array([[1 + change], [1]], np.float32)
        return found

    monkeypatch.setattr(Artifact, "run", other)
    first = FirstRun(feeds, feeds, results, np.array([[0], [1]]))
    truth = Truth(first, dict(results), {name: value * 1 for name, value in results.items()})
    (found,) = engine_noise.with_engine_noise(artifact, [truth], {NAME})
    assert isinstance(found.own, dict)
    return relative_errors(found.own[NAME], results[NAME])


def test_two_levels_that_differ_say_how_much_the_engine_rounds(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    errors = own_errors(artifact, 1e-4, monkeypatch)
    assert errors[0] == pytest.approx(1e-4, rel=0.02)
    assert errors[1] < 1e-6


def test_levels_that_agree_leave_the_bound_as_it_is(
    artifact: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert own_errors(artifact, 0.0, monkeypatch).max() < 1e-6


def test_gradients_and_maps_are_no_forward_values(artifact: Artifact) -> None:
    layer = artifact.spec.layers[0]
    names = engine_noise.forward_values(artifact)
    assert names == {NAME, artifact.spec.scores, layer.activations}
    assert replace(artifact, level="disable").level == "disable"


def test_a_fault_is_the_same_at_both_levels(tmp_path: Path, artifact: Artifact) -> None:
    model = onnx.load(artifact.path)
    for node in model.graph.node:
        node.output[:] = [f"{NAME}_before" if name == NAME else name for name in node.output]
    scale = onnx.numpy_helper.from_array(np.float32(1.0001), "scale")
    model.graph.initializer.append(scale)
    model.graph.node.append(onnx.helper.make_node("Mul", [f"{NAME}_before", "scale"], [NAME]))
    onnx.save(model, tmp_path / "wrong.onnx")
    source = Source(_model(), "model", (torch.randn(2, 3, 8, 8),))
    _, verdict = verify_artifact(tmp_path / "wrong.onnx", source, everything=True)
    assert any(one.check == "outputs" and one.status == "fail" for one in verdict.findings)
