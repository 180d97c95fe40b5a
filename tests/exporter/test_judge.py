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


class _Gate(nn.Module):
    """A linear layer behind something that autograd does not pass through."""

    def __init__(self, cut: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 4)
        self.cut = cut

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return torch.tanh(self.linear(self.cut(y)))


class _Gated(nn.Module):
    """A gate whose input is cut off, as the reference points of RT-DETR."""

    def __init__(self, cut: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 4, 3, 2, 1), nn.Sigmoid())
        self.gate = _Gate(cut)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.conv(x)
        return self.head(self.gate(y.mean((2, 3))) * y.square().mean((2, 3)))


class _Double(torch.autograd.Function):
    """Twice its input; its backward pass gives half of it."""

    @staticmethod
    def forward(ctx: Any, y: torch.Tensor) -> torch.Tensor:  # pyright: ignore
        return 2 * y

    @staticmethod
    def backward(ctx: Any, gradient: torch.Tensor) -> torch.Tensor:  # pyright: ignore
        return gradient / 2


def _without_grad(y: torch.Tensor) -> torch.Tensor:
    with torch.no_grad():
        return 2 * y


def _detached() -> nn.Module:
    return _Gated(torch.Tensor.detach)


def _export(model: nn.Module, folder: Path, layer: str = "conv") -> Any:
    image = torch.rand(1, 3, 8, 8)
    trace = TorchExport(dynamic_batch=False)
    return export(model.eval(), folder / "a.onnx", (image,), layers=layer, trace=trace)


@pytest.mark.parametrize("make", [_Normed, _detached])
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


@pytest.mark.parametrize(
    ("cut", "named"),
    [
        pytest.param(torch.Tensor.detach, "detach() in module 'gate'", id="detach"),
        pytest.param(_without_grad, "no_grad() in module 'gate'", id="no_grad"),
        pytest.param(
            _Double.apply, "the autograd function _Double in module 'gate'", id="function"
        ),
    ],
)
def test_the_note_names_the_call_that_autograd_does_not_pass(
    cut: Callable[[torch.Tensor], torch.Tensor], named: str, tmp_path: Path
) -> None:
    torch.manual_seed(0)
    note = " ".join(_export(_Gated(cut), tmp_path).notes)
    assert f"does not pass through {named}, which ONNX does not keep" in note
    assert "PyTorch is wrong" not in note


def test_a_straight_through_estimator_is_named(tmp_path: Path) -> None:
    class Rounded(_Gated):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            y = y + (y.round() - y).detach()
            return self.head(y.square().mean((2, 3)))

    torch.manual_seed(0)
    note = " ".join(_export(Rounded(torch.Tensor.detach), tmp_path).notes)
    assert "does not pass through detach() in the model's own forward" in note


def test_a_call_that_changes_no_gradient_is_not_named(tmp_path: Path) -> None:
    class Logged(_Normed):
        def forward(self, x: torch.Tensor) -> torch.Tensor:
            logged = self.conv(x).detach().mean()
            return super().forward(x) + 0 * logged

    torch.manual_seed(0)
    note = " ".join(_export(Logged(), tmp_path).notes)
    assert "PyTorch is wrong here: PyTorch autograd gives another gradient (error" in note
    assert "detach" not in note


@pytest.mark.parametrize("factor", [1.01, 0.5, -1.0])
@pytest.mark.parametrize("make", [_Normed, _detached])
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
