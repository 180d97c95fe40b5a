"""Whole models against PyTorch autograd in float64; `make zoo` holds many more."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path

import onnx_ir as ir
import pytest
import torch
from torch import nn
from torchvision import models
from torchvision.models.convnext import CNBlockConfig

from benchmarks.condition import condition
from benchmarks.contract import check_contract, check_plain
from benchmarks.smooth import smooth_twin
from benchmarks.truth import Artifact, check_model, check_twin, make
from graftcam.exporter.differentiate.support import convolution
from graftcam.exporter.graph.emitter import Emitter

Layers = tuple[str, ...]
SMALL = {"growth_rate": 8, "block_config": (2, 3), "num_init_features": 16}
SHUFFLED = ([2, 2, 2], [8, 16, 32, 64, 128])
BLOCKS = [CNBlockConfig(24, 48, 1), CNBlockConfig(48, 96, 2), CNBlockConfig(96, None, 1)]
# What builds it, the shape of an image, which is not square, and its layers or the automatic one.
MODELS: dict[str, tuple[Callable[[], nn.Module], tuple[int, int, int], Layers | None]] = {
    # Residual sums, strided convolutions, several layers in one artifact.
    "resnet18": (models.resnet18, (3, 64, 96), ("layer1", "layer2", "layer3")),
    # Squeeze-and-excite, hard activations, depthwise convolutions at stride 2.
    "mobilenet_v3_large": (models.mobilenet_v3_large, (3, 64, 96), ("features.3",)),
    # Concatenation, BatchNorm before the convolution, functional ReLU.
    "densenet": (partial(models.DenseNet, **SMALL), (3, 64, 96), ("features.transition1",)),
    "densenet automatic": (partial(models.DenseNet, **SMALL), (3, 64, 96), None),
    # Channel split and shuffle.
    "shufflenet": (partial(models.ShuffleNetV2, *SHUFFLED), (3, 64, 96), ("stage2",)),
    # Max pools with ceil_mode, a convolution as classifier.
    "squeezenet": (models.squeezenet1_1, (3, 64, 96), ("features.5",)),
    # LayerNorm over the last axis, GELU, layer scale; one layer is channel-last.
    "convnext": (
        partial(models.ConvNeXt, BLOCKS), (3, 32, 64), ("features.1", "features.3.1.block.3")
    ),
}  # fmt: skip


def made(name: str, path: Path, change: Callable[[nn.Module], nn.Module]) -> Artifact:
    """A model with random weights of good condition, changed."""
    torch.manual_seed(0)
    build, shape, layers = MODELS[name]
    return make(condition(change(build()), shape), shape, path, layers)


@pytest.mark.parametrize("name", MODELS)
def test_a_smooth_twin_agrees_with_float64(name: str, tmp_path: Path) -> None:
    artifact = made(name, tmp_path / "twin.onnx", smooth_twin)
    found, faults = check_twin(artifact)
    assert faults == []
    assert check_contract(artifact, found) == []


@pytest.mark.parametrize("name", MODELS)
def test_the_model_agrees_as_well_as_pytorchs_own_float32(name: str, tmp_path: Path) -> None:
    artifact = made(name, tmp_path / "model.onnx", lambda model: model)
    found, faults = check_model(artifact)
    assert faults == []
    assert check_contract(artifact, found) == []
    assert check_plain(artifact, tmp_path / "plain.onnx") == []


def test_a_wrong_rule_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def not_flipped(emit: Emitter, weights: ir.Value, groups: int) -> ir.Value:
        assert groups == 1
        return emit.op("Transpose", weights, perm=[1, 0, 2, 3])

    monkeypatch.setattr(convolution, "flipped", not_flipped)
    _, faults = check_twin(made("densenet", tmp_path / "twin.onnx", smooth_twin))
    assert [fault.partition(":")[0] for fault in faults] == ["gradients", "heatmap"]
