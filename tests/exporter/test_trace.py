"""What PyTorch's exporter leaves to be put right."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import torch
from torch import nn

from graftcam.exporter import export
from graftcam.exporter.capture.torch_export import define_constants


def test_constants_that_nodes_read_are_defined() -> None:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([2]))
    taken = ir.Value(name="low", const_value=ir.tensor(np.float32(7), name="low"))
    low, high = (
        ir.Value(name=name, const_value=ir.tensor(np.float32(number), name=name))
        for name, number in (("low", -1), ("high", 1))
    )
    node = ir.node("Clip", [x, low, high])
    graph = ir.Graph([x], node.outputs, nodes=[node], initializers=[taken], name="g")
    define_constants(graph)
    found = {value.name: value.const_value.numpy().item() for value in node.inputs[1:]}  # pyright: ignore
    assert found == {"low_1": -1.0, "high": 1.0}
    assert set(graph.initializers) == {"low", "low_1", "high"}
    define_constants(graph)
    assert set(graph.initializers) == {"low", "low_1", "high"}


class NamedLikeItsResult(nn.Module):
    """A module whose buffer has the name that PyTorch gives to the mean of its map."""

    mean: torch.Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("mean", torch.ones(3, 1, 1))
        self.layer = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh())
        self.classes = nn.Linear(4, 5)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        found = self.layer(image - self.mean)
        return self.classes(found.mean((2, 3), keepdim=True).flatten(1))


def test_a_buffer_may_have_the_name_of_a_result(tmp_path: Path) -> None:
    report = export(NamedLikeItsResult().eval(), tmp_path / "a.onnx", (torch.rand(1, 3, 8, 8),))
    assert report.spec.verification.verdict == "pass"
