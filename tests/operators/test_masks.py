"""Masks are products, but zero where an infinite cotangent meets one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from support.exports import make
from support.sessions import open_session

MASKED = [
    nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(), nn.PReLU(), nn.ELU(), nn.ELU(0.5), nn.SELU(),
    nn.CELU(0.5), nn.Hardswish(), nn.Hardsigmoid(), nn.Hardtanh(), nn.Softshrink(),
    nn.Threshold(0.1, 0.0),
]  # fmt: skip


class _Unbounded(nn.Module):
    """A function with an infinite derivative at 0 behind masks that give zeros."""

    def __init__(self, name: str, mask: nn.Module) -> None:
        super().__init__()
        self.layer, self.mask = nn.Conv2d(3, 4, 3), mask
        self.name, self.head = name, nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.mask(self.layer(x))
        if self.name == "sqrt":
            y = y.sqrt()
        elif self.name == "root":
            y = y**0.5
        else:
            y = 1 / (1 + 1 / y)
        return self.head(y.mean((2, 3)))


@pytest.mark.parametrize("mask", MASKED, ids=lambda mask: type(mask).__name__)
def test_no_large_tensor_goes_through_a_where(tmp_path: Path, mask: nn.Module) -> None:
    """ONNX Runtime's Where takes ten times as long as a product, except between two numbers."""
    net = nn.Sequential(
        nn.Conv2d(3, 4, 3), mask, nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten(),
        nn.Linear(4, 3),
    )  # fmt: skip
    graph = onnx.load(make(net, tmp_path / "m.onnx", layers="0").path).graph
    numbers = {one.name for one in graph.initializer if not one.dims}
    chosen = [
        node
        for node in graph.node
        if node.op_type == "Where"
        and node.name.startswith("grad/")
        and "/classes/" not in node.name
    ]
    assert all(set(node.input[1:]) <= numbers for node in chosen), [node.name for node in chosen]


@pytest.mark.parametrize("mask", [nn.ReLU(), nn.Hardtanh(0.0, 6.0)], ids=["Relu", "Clip"])
@pytest.mark.parametrize("name", ["sqrt", "root", "reciprocal"])
def test_an_infinite_cotangent_is_zero_behind_a_mask(
    tmp_path: Path, name: str, mask: nn.Module
) -> None:
    net = _Unbounded(name, mask)
    made = make(net, tmp_path / "m.onnx", layers="layer")
    x = torch.randn(1, 3, 8, 8, generator=torch.Generator().manual_seed(0))
    kept: list[torch.Tensor] = []
    net.layer.register_forward_hook(lambda module, inputs, output: kept.append(output))
    score = net(x)[0, 1]
    (expected,) = torch.autograd.grad(score, kept)
    assert (kept[0] <= 0).any()
    session = open_session(made.path)
    feeds = {session.get_inputs()[0].name: x.numpy(), "class_index": np.array([[1]])}
    found = session.run(["gradients"], feeds)[0][:, 0]
    np.testing.assert_array_equal(found[kept[0].detach().numpy() <= 0], 0.0)
    np.testing.assert_allclose(found, expected.numpy(), rtol=1e-5, atol=1e-7)
