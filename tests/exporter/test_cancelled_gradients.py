"""What precision alone makes of a gradient is no fault; a wrong one beside it still is."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from graftcam.exporter import export
from graftcam.exporter.differentiate import registry
from graftcam.exporter.errors import VerificationError
from support.onnx_bytes import onnx_model

# Two numbers less their mean and over their deviation are 1 and -1, whatever they are.
PAIRS = """<ir_version: 8, opset_import: ["" : 18]>
    pairs (float[N, 2, 3, 4] x) => (float[N, K] y)
    {
        L = Tanh(x)
        normal = MeanVarianceNormalization<axes = [1]>(L)
        other = Sin(normal)
        y = Flatten(other)
    }"""
SHRUNK = PAIRS.replace("MeanVarianceNormalization<axes = [1]>", "Shrink<lambd = 0.2, bias = 0.0>")
SUMMED = PAIRS.replace("other = Sin(normal)", "wave = Sin(L)  other = Add(wave, normal)")


def written(folder: Path, text: str) -> Path:
    path = folder / "source.onnx"
    path.write_bytes(onnx_model(text, {}))
    return path


def test_rounding_is_no_wrong_gradient(tmp_path: Path) -> None:
    export(written(tmp_path, PAIRS), tmp_path / "a.onnx", layers="L")
    assert (tmp_path / "a.onnx").exists()


@pytest.mark.parametrize("text", [SUMMED, SHRUNK], ids=["beside rounding", "alone"])
def test_a_wrong_gradient_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    entry = registry.table()["Sin"]

    def wrong(*arguments: Any) -> Any:
        return [one and one * 1.01 for one in entry.rule(*arguments)]  # pyright: ignore[reportOptionalCall]

    export(written(tmp_path, text), tmp_path / "a.onnx", layers="L")
    monkeypatch.setitem(registry._TABLE, "Sin", replace(entry, rule=wrong))
    with pytest.raises(VerificationError, match="gradients"):
        export(written(tmp_path, text), tmp_path / "b.onnx", layers="L")


def test_a_norm_without_an_epsilon_keeps_that_of_its_type(tmp_path: Path) -> None:
    """Where a row is 0 the epsilon makes the gradient; float64 has a smaller one."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.ReLU(), nn.RMSNorm(4), nn.Flatten(), nn.Linear(60, 3)).eval()
    report = export(model, tmp_path / "a.onnx", (torch.randn(2, 3, 5, 4),), layers="0")
    assert report.verification.verdict == "pass"
