"""How adjoints are written: what they read, what is empty for K = 0, how many nodes they take."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from support.exports import make
from support.sessions import open_session


def _net(*layers: nn.Module) -> nn.Module:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), *layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(4, 3)
    )


def _artifact(model: nn.Module, path: Path) -> onnx.ModelProto:
    return onnx.load(make(model, path, layers="0").path)


def _added(model: onnx.ModelProto) -> list[onnx.NodeProto]:
    return [node for node in model.graph.node if node.name.startswith("grad/")]


@pytest.mark.parametrize("activation", [nn.SiLU(), nn.GELU()])
def test_nothing_inside_a_self_gated_activation_is_read(
    tmp_path: Path, activation: nn.Module
) -> None:
    """Reading an inner value would prevent ONNX Runtime from fusing it."""
    model = _artifact(_net(activation, nn.Conv2d(4, 4, 1)), tmp_path / "m.onnx")
    inside = {
        value
        for node in model.graph.node
        if node.op_type in ("Sigmoid", "Erf", "Div") and not node.name.startswith("grad/")
        for value in node.output
    }
    assert inside
    assert not inside & {value for node in _added(model) for value in node.input}


@pytest.mark.parametrize(
    "activation",
    [nn.ReLU(), nn.ReLU6(), nn.LeakyReLU(), nn.SiLU(), nn.GELU(), nn.Hardswish(), nn.Sigmoid()],
)
def test_nothing_large_is_computed_for_no_class(tmp_path: Path, activation: nn.Module) -> None:
    """Masks and slopes depend on forward values alone; a gate makes them empty for K = 0."""
    model = _artifact(_net(activation, nn.Conv2d(4, 4, 1)), tmp_path / "m.onnx")
    made = [value for node in _added(model) for value in node.output if value]
    known = {value.name for value in model.graph.output}
    model.graph.output.extend(
        onnx.ValueInfoProto(name=value) for value in made if value not in known
    )
    level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    session = open_session(model.SerializeToString(), level)
    feeds = {"class_index": np.zeros((1, 0), np.int64)}
    feeds[session.get_inputs()[0].name] = np.ones((2, 3, 8, 8), np.float32)
    found = dict(zip(made, session.run(made, feeds), strict=True))
    # The activations, as they are and laid out, and weights, which are folded at load.
    free = {"activations", "places", "exchanged", "flipped"}
    large = {
        name: value.shape
        for name, value in found.items()
        if value.size > 2 * 4 * 3 and name.rpartition("/")[2] not in free
    }
    assert not large


def test_convolutions_one_after_the_other_stay_folded(tmp_path: Path) -> None:
    model = _artifact(_net(nn.Conv2d(4, 4, 1), nn.Conv2d(4, 4, 3)), tmp_path / "m.onnx")
    made = [node.op_type for node in _added(model) if node.name.rpartition("/")[2] == "folded"]
    assert made == ["Reshape"]


def test_no_node_is_left_unused(tmp_path: Path) -> None:
    model = _artifact(_net(nn.Conv2d(4, 4, 1), nn.ReLU(), nn.Conv2d(4, 4, 3)), tmp_path / "m.onnx")
    used = {value for node in model.graph.node for value in node.input}
    used |= {value.name for value in model.graph.output}
    assert all(used & set(node.output) for node in _added(model))
    assert {tensor.name for tensor in model.graph.initializer} <= used


class _Join(nn.Module):
    def forward(self, parts: list[torch.Tensor]) -> torch.Tensor:
        return torch.cat(parts, 1)


class _Dense(nn.Module):
    """Layers that read all before them, joined anew for each; ``joined`` is one of the joins."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Conv2d(3, 4, 3)
        self.layers = nn.ModuleList(nn.Conv2d(4 + 2 * n, 2, 3, padding=1) for n in range(4))
        self.joined = _Join()
        self.head = nn.Linear(12, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        parts = [self.first(x)]
        for number, layer in enumerate(self.layers):
            whole = self.joined(parts) if number == 2 else torch.cat(parts, 1)
            parts.append(layer(whole).tanh())
        return self.head(torch.cat(parts, 1).mean((2, 3)))


def test_the_cotangents_of_a_dense_block_are_cut_in_two(tmp_path: Path) -> None:
    model = onnx.load(make(_Dense(), tmp_path / "m.onnx", layers="first", verify="quick").path)
    cuts = [node for node in _added(model) if node.name.rpartition("/")[2] == "part"]
    # A new part and what is before it for three joins, two parts for the first join of all.
    assert len(cuts) <= 2 * 3


def test_a_layer_that_joins_has_its_own_gradient_only(tmp_path: Path) -> None:
    """Later layers join the same values anew; those do not come through this layer."""
    make(_Dense(), tmp_path / "m.onnx", layers=["first", "joined"], verify="quick")


def test_large_weights_are_read_as_they_are_stored(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """ONNX Runtime would copy constant ones into another order, a second time."""
    monkeypatch.setattr("graftcam.exporter.differentiate.rules.linear._LARGE", 1)
    layers = (nn.Conv2d(3, 4, 3), nn.Flatten(), nn.Linear(144, 5), nn.ReLU(), nn.Linear(5, 3))
    path = make(nn.Sequential(*layers), tmp_path / "m.onnx", layers="0", verify="quick").path
    products = [node for node in _added(onnx.load(path)) if node.op_type == "Gemm"]
    assert products
    assert all(node.input[1].endswith("as_stored") for node in products)
