"""A model that asks for ``len(x)`` keeps its batch open."""

from __future__ import annotations

import sys
from pathlib import Path

import onnx
import onnx.parser
import torch
from torch import nn

from graftcam.exporter import export
from graftcam.exporter.capture.open_lengths import open_lengths


class _Lengths(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.conv = nn.Conv2d(3, 4, 3)
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = torch.tanh(self.conv(x))
        return self.head(y.reshape(len(y), 4, -1).mean(2))


def test_a_length_leaves_the_batch_open(tmp_path: Path) -> None:
    report = export(
        _Lengths().eval(), tmp_path / "a.onnx", (torch.rand(1, 3, 8, 8),), layers="conv"
    )
    assert report.verification.verdict == "pass"  # with four images


def test_the_name_is_there_only_in_the_meantime() -> None:
    file = sys.modules[_Lengths.__module__].__dict__
    with open_lengths(_Lengths()):
        assert file["len"](torch.zeros(3, 2)) == file["len"]("abc") == 3
        assert "len" not in nn.Linear.forward.__globals__
    assert "len" not in file


def test_an_open_axis_may_be_taken_for_channels(tmp_path: Path) -> None:
    """K = 0 classes run too, where the extent of the channels is read at run time."""
    model = onnx.parser.parse_model(
        '<ir_version: 9, opset_import: ["": 19]> g (float[2, 3, D] x) => (float[A, K] y) '
        "<float[3, 2] w = {1.0, 2.0, -1.0, 0.5, 0.3, -2.0}> { L = Tanh(x) t = Celu(L) "
        "p = GlobalAveragePool(t) f = Flatten(p) y = MatMul(f, w) }"
    )
    onnx.save(model, tmp_path / "m.onnx")
    report = export(tmp_path / "m.onnx", tmp_path / "a.onnx", layers="L")
    assert report.spec.layers[0].layout == "tokens"
    assert report.verification.verdict == "pass"
