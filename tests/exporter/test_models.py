"""Whole models against PyTorch autograd in float64; `make zoo` holds many more."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import onnx_ir as ir
import pytest
import torch
from torch import nn
from torchvision import models

from benchmarks.condition import condition
from benchmarks.contract import check_contract, check_plain
from benchmarks.smooth import smooth_twin
from benchmarks.truth import Artifact, check_model, check_twin, make
from graftcam.exporter.differentiate.support import convolution
from graftcam.exporter.graph.emitter import Emitter


@dataclass(frozen=True)
class Model:
    """A model under test.

    Attributes:
        name: For the test's id.
        build: Makes it with random weights.
        shape: Of one input, without the batch axis; not square.
        layers: Target layers; None for the automatic one.
        options: Arguments of ``build``.
    """

    name: str
    build: Callable[..., nn.Module]
    shape: tuple[int, int, int] = (3, 64, 96)
    layers: tuple[str, ...] | None = None
    options: tuple[tuple[str, Any], ...] = ()

    def __call__(self) -> nn.Module:
        torch.manual_seed(0)
        return self.build(**dict(self.options))


DENSE = (("growth_rate", 8), ("block_config", (2, 3)), ("num_init_features", 16))
MODELS = [
    # Residual sums, strided convolutions, several layers in one artifact.
    Model("resnet18", models.resnet18, layers=("layer1", "layer2", "layer3")),
    # Squeeze-and-excite, hard activations, depthwise convolutions at stride 2.
    Model("mobilenet_v3_large", models.mobilenet_v3_large, layers=("features.3",)),
    # Concatenation, BatchNorm before the convolution, functional ReLU.
    Model("densenet", models.DenseNet, layers=("features.transition1",), options=DENSE),
    Model("densenet automatic", models.DenseNet, options=DENSE),
    # Channel split and shuffle.
    Model("shufflenet", models.shufflenet_v2_x0_5, layers=("stage2",)),
    # Max pools with ceil_mode, a convolution as classifier.
    Model("squeezenet", models.squeezenet1_1, layers=("features.5",)),
    # LayerNorm over the last axis, GELU, layer scale; one layer is channel-last.
    Model("convnext", models.convnext_tiny, (3, 32, 64), ("features.3", "features.5.1.block.3")),
]
each = pytest.mark.parametrize("model", MODELS, ids=[model.name for model in MODELS])


@pytest.fixture(autouse=True)
def _one_thread() -> Iterator[None]:
    """Test processes share the cores."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


def twin_of(model: Model, folder: Path) -> Artifact:
    twin = condition(smooth_twin(model()), model.shape)
    return make(twin, model.shape, folder / "twin.onnx", model.layers)


@each
def test_a_smooth_twin_agrees_with_float64(model: Model, tmp_path: Path) -> None:
    artifact = twin_of(model, tmp_path)
    found, faults = check_twin(artifact)
    assert faults == []
    assert check_contract(artifact, found) == []


@each
def test_the_model_agrees_as_well_as_pytorchs_own_float32(model: Model, tmp_path: Path) -> None:
    module = condition(model(), model.shape)
    artifact = make(module, model.shape, tmp_path / "model.onnx", model.layers)
    found, faults = check_model(artifact)
    assert faults == []
    assert check_contract(artifact, found) == []
    assert check_plain(artifact, tmp_path / "plain.onnx") == []


def test_a_wrong_rule_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_flipped(emit: Emitter, weights: ir.Value, groups: int) -> ir.Value:
        assert groups == 1
        return emit.op("Transpose", weights, perm=[1, 0, 2, 3])

    monkeypatch.setattr(convolution, "flipped", not_flipped)
    dense = next(model for model in MODELS if model.name == "densenet")
    _, faults = check_twin(twin_of(dense, tmp_path))
    assert [fault.partition(":")[0] for fault in faults] == ["gradients", "heatmap"]
