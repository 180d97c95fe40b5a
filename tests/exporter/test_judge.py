"""Where autograd and the artifact disagree, finite differences decide."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from graftcam.exporter import TorchExport, VerificationError, export
from graftcam.exporter.differentiate import registry


class _Normed(nn.Module):
    """Batch norm, flatten, transpose: PyTorch 2.14 errs for one image."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, 2, 1)
        self.norm = nn.BatchNorm2d(4)
        self.weights = nn.Parameter(torch.randn(1, 16, 4))
        self.head = nn.Linear(4, 3)
        with torch.no_grad():
            self.norm.weight.uniform_(0.5, 2)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        tokens = self.norm(self.conv(x)).flatten(2).transpose(1, 2)
        return self.head((torch.tanh(tokens) * self.weights).sum(1))


class _Detached(nn.Module):
    """A gate whose input is detached, as the reference points of RT-DETR."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Sigmoid())
        self.gate = nn.Linear(4, 4)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        gate = torch.tanh(self.gate(y.mean((2, 3)).detach()))
        return self.head(gate * y.square().mean((2, 3)))


def _export(model: nn.Module, folder: Path, layer: str = "conv") -> Any:
    image = torch.rand(1, 3, 8, 8)
    trace = TorchExport(dynamic_batch=False)
    return export(model.eval(), folder / "a.onnx", (image,), layers=layer, trace=trace)


@pytest.mark.parametrize("make", [_Normed, _Detached])
def test_a_right_artifact_passes_where_autograd_is_not_the_derivative(
    make: Callable[[], nn.Module], tmp_path: Path
) -> None:
    torch.manual_seed(0)
    report = _export(make(), tmp_path)
    assert report.verification.verdict == "pass"
    assert report.verification.thresholds["gradients"] == 1e-3
    note = " ".join(report.notes)
    assert "PyTorch autograd gives another gradient" in note
    assert "finite differences agree with the artifact" in note


@pytest.mark.parametrize("factor", [1.01, 0.5, -1.0])
@pytest.mark.parametrize("make", [_Normed, _Detached])
def test_a_wrong_artifact_fails_even_there(
    make: Callable[[], nn.Module], factor: float, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = registry.table()["Tanh"]

    def wrong(emit: Any, node: Any, g: Any, needed: Any) -> Any:
        return [one * factor for one in entry.rule(emit, node, g, needed)]  # pyright: ignore

    monkeypatch.setitem(registry._TABLE, "Tanh", replace(entry, rule=wrong))  # pyright: ignore
    torch.manual_seed(0)
    with pytest.raises(VerificationError, match="finite differences agree with neither"):
        _export(make(), tmp_path)
    assert not list(tmp_path.iterdir())


def test_where_autograd_is_right_the_refusal_says_so(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = registry.table()["Sigmoid"]

    def wrong(emit: Any, node: Any, g: Any, needed: Any) -> Any:
        return [one * 1.2 for one in entry.rule(emit, node, g, needed)]  # pyright: ignore

    monkeypatch.setitem(registry._TABLE, "Sigmoid", replace(entry, rule=wrong))  # pyright: ignore
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Sigmoid(), nn.Flatten(), nn.Linear(144, 2))
    with pytest.raises(VerificationError, match="finite differences agree with PyTorch autograd"):
        _export(model, tmp_path, "0")
