"""Models that sample at computed places: spatial transformers and deformable convolutions."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import torch.nn.functional as F  # noqa: N812
from torch import nn
from torchvision.ops import DeformConv2d

from graftcam.exporter import export

from .nets import seeded


class Transformer(nn.Module):
    """A convolution, whose output a spatial transformer turns by an angle read off it, and a head."""

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
        self.offsets = nn.Conv2d(4, 2 * 2 * 9, 3, padding=1)
        self.mask = nn.Conv2d(4, 2 * 9, 3, padding=1)
        self.deformed = DeformConv2d(4, 8, 3, stride=2, padding=1, groups=2)
        self.head = nn.Linear(8, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = F.silu(self.features(x))
        y = self.deformed(y, self.offsets(y), self.mask(y).sigmoid())
        return self.head(F.silu(y).mean((2, 3)))


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_a_spatial_transformer_is_explained_before_it(mode: str, tmp_path: Path) -> None:
    model = seeded(Transformer(mode))
    report = export(model, tmp_path / "m.onnx", (torch.rand(1, 3, 9, 7),), layers="features")
    assert report.spec.verification.passed
    ...


def test_a_deformable_convolution_is_explained_before_it(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    report = export(seeded(Deformable()), path, (torch.rand(1, 3, 9, 7),), layers="features", opset=19)
    ...
