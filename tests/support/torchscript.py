"""Files of PyTorch's older exporter."""

from __future__ import annotations

import warnings
from pathlib import Path

import torch
from torch import nn
from torchvision import models

OPEN_BATCH = {"input": {0: "batch"}, "output": {0: "batch"}}


def scripted(
    model: nn.Module,
    path: Path,
    opset: int,
    size: tuple[int, int] = (8, 8),
    axes: dict[str, dict[int, str]] = OPEN_BATCH,
) -> Path:
    """``model`` as the TorchScript exporter writes it, with an open batch by default."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (torch.randn(2, 3, *size),), path, dynamo=False, opset_version=opset,
            input_names=["input"], output_names=["output"], dynamic_axes=axes,
        )  # fmt: skip
    return path


def vision_transformer() -> nn.Module:
    return models.VisionTransformer(
        image_size=32, patch_size=8, num_layers=2, num_heads=2, hidden_dim=16, mlp_dim=24,
        num_classes=5,
    )  # fmt: skip
