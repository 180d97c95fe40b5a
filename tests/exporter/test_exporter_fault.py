"""Where PyTorch's exporter computes another value, the refusal names the module."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from onnxscript import opset18
from torch import nn
from torch.nn import functional

from graftcam.exporter import VerificationError, export
from graftcam.exporter.capture import torch_export
from graftcam.exporter.capture.torch_translations import translations

op: Any = opset18


class _Pooled(nn.Module):
    """Convolutions with batch norms that are folded, beside and before a part that may be wrong."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.ReLU())
        self.pool = pool
        self.other = nn.Sequential(nn.Conv2d(4, 4, 2, 2), nn.BatchNorm2d(4))
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.stem(x)
        return self.head((self.pool(y) + self.other(y)).mean((2, 3)))


class _Softened(nn.Module):
    """A part that has no module of its own for what is wrong."""

    def forward(self, y: torch.Tensor) -> torch.Tensor:
        return functional.avg_pool2d(functional.softplus(y), 2)


@pytest.mark.parametrize(
    ("pool", "wrong", "named"),
    [
        pytest.param(
            nn.AvgPool2d(2),
            {torch.ops.aten.avg_pool2d.default: lambda x, *sizes: op.LpPool(
                x, kernel_shape=[2, 2], strides=[2, 2])},
            "at 'pool' \\(AvgPool2d\\)",
            id="a layer",
        ),
        pytest.param(
            nn.Sequential(nn.Softplus(), nn.AvgPool2d(2)),
            {torch.ops.aten.softplus.default: lambda x, *sizes: op.Relu(x)},
            "at 'pool.0' \\(Softplus\\)",
            id="a layer inside of another",
        ),
        pytest.param(
            _Softened(),
            {torch.ops.aten.softplus.default: lambda x, *sizes: op.Relu(x)},
            "at 'pool' \\(_Softened\\)",
            id="a module's own forward",
        ),
    ],
)  # fmt: skip
def test_the_module_is_named(
    pool: nn.Module, wrong: dict[Any, Callable[..., Any]], named: str, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.setattr(torch_export, "translations", lambda: {**translations(), **wrong})
    torch.manual_seed(0)
    model = _Pooled(pool).eval()
    with pytest.raises(
        VerificationError, match=f"PyTorch's ONNX exporter computes another value {named}"
    ) as caught:
        export(model, tmp_path / "a.onnx", (torch.rand(1, 3, 9, 9),), layers="stem")
    assert str(caught.value).count("error") == 1  # and nothing that follows from it


@pytest.mark.parametrize(
    "pool",
    [
        pytest.param(nn.AvgPool2d(2, divisor_override=3), id="a divisor"),
        pytest.param(nn.AvgPool2d(2, 2, 1, divisor_override=3), id="a divisor, with padding"),
    ],
)
def test_a_divisor_of_an_average_pool_is_exported(pool: nn.Module, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh(), pool, nn.Flatten(), nn.LazyLinear(3))
    model(torch.rand(1, 3, 8, 8))
    report = export(model.eval(), tmp_path / "a.onnx", (torch.rand(1, 3, 8, 8),), layers="1")
    assert report.verification.verdict == "pass"


@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_an_antialiased_resize_follows_the_scale(mode: str, tmp_path: Path) -> None:
    class Resized(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh())
            self.head = nn.LazyLinear(3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x)
            small = functional.interpolate(y, scale_factor=0.6, mode=mode, antialias=True)
            return self.head(small.flatten(1))

    torch.manual_seed(0)
    model = Resized().eval()
    model(torch.rand(1, 3, 9, 9))
    report = export(model, tmp_path / "a.onnx", (torch.rand(1, 3, 9, 9),), layers="conv")
    assert report.verification.verdict == "pass"
