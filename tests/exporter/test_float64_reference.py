"""Models that make tensors of their own type are compared with PyTorch in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import nn

from graftcam import export
from graftcam.exporter import VerificationError


class _Own(nn.Module):
    """Adds a tensor that it makes: without a type, or with float32's numbers from NumPy."""

    def __init__(self, *, fixed: bool) -> None:
        super().__init__()
        self.fixed = fixed
        self.layer, self.head = nn.Conv2d(3, 4, 3), nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        pooled = self.layer(x).relu().mean((2, 3))
        made = torch.zeros(1, 4)
        if self.fixed:
            made = torch.from_numpy(np.ones((1, 4), np.float32))
        return self.head(torch.cat([pooled, pooled], 1)) + (made @ self.head.weight[:, :4].T)


def _export(model: nn.Module, path: Path) -> str:
    torch.manual_seed(0)
    report = export(model.eval(), path, (torch.rand(1, 3, 8, 8),), layers="layer")
    return report.spec.verification.verdict


def test_a_tensor_without_a_type_follows_the_reference(tmp_path: Path) -> None:
    before = torch.get_default_dtype()
    assert _export(_Own(fixed=False), tmp_path / "m.onnx") == "pass"
    assert torch.get_default_dtype() is before


def test_a_model_that_cannot_run_in_float64_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(VerificationError, match=r"does not run in float64.*same dtype"):
        _export(_Own(fixed=True), tmp_path / "m.onnx")
    assert not (tmp_path / "m.onnx").exists()
