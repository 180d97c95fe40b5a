"""Models that sample at computed places: spatial transformers and deformable convolutions."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torchvision.ops import DeformConv2d

from graftcam.exporter import TorchExport, export
from support.exports import Made
from support.nets import seeded


class Transformer(nn.Module):
    """A convolution, a spatial transformer whose map is read off its output, and a head."""

    def __init__(self, mode: str) -> None:
        super().__init__()
        self.mode = mode
        self.features = nn.Conv2d(3, 6, 3, padding=1)
        self.where = nn.Linear(6, 6)
        self.body = nn.Conv2d(6, 8, 3, stride=2)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.silu(self.features(x))
        theta = self.where(y.mean((2, 3))).reshape(-1, 2, 3)
        grid = F.affine_grid(theta, list(y.shape), align_corners=False)
        y = F.grid_sample(y, grid, self.mode, "zeros", align_corners=False)
        return self.head(F.silu(self.body(y)).mean((2, 3)))


class Deformable(nn.Module):
    """A deformable convolution whose offsets and mask are read off its own input."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Conv2d(3, 4, 3, padding=1)
        self.offsets = nn.Conv2d(4, 2 * 2 * 9, 3, stride=2, padding=1)
        self.mask = nn.Conv2d(4, 2 * 9, 3, stride=2, padding=1)
        self.deformed = DeformConv2d(4, 8, 3, stride=2, padding=1, groups=2)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.silu(self.features(x))
        y = self.deformed(y, self.offsets(y), self.mask(y).sigmoid())
        return self.head(F.silu(y).mean((2, 3)))


def _explained(model: nn.Module, path: Path, opset: int) -> None:
    """Export with verification; then batches and classes that verification does not run."""
    report = export(
        seeded(model), path, (torch.rand(1, 3, 9, 7),), layers="features",
        trace=TorchExport(opset=opset),
    )  # fmt: skip
    assert report.verification.reference == "autograd-float64"
    artifact = Made(model, path, report.spec)
    x = torch.rand(5, 3, 9, 7, generator=torch.Generator().manual_seed(2)).numpy()
    for classes in ([[3, 0]], np.zeros((1, 0))):
        class_index = np.asarray(classes, np.int64)
        found = artifact.run({"x": x, "class_index": class_index})
        assert found["gradients"].shape[:2] == (5, class_index.shape[1])
        artifact.check(found, x, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_a_layer_before_a_spatial_transformer_is_explained(mode: str, tmp_path: Path) -> None:
    _explained(Transformer(mode), tmp_path / "transformer.onnx", 18)


def test_a_layer_before_a_deformable_convolution_is_explained(tmp_path: Path) -> None:
    _explained(Deformable(), tmp_path / "deformable.onnx", 19)
