"""TorchScript modules, and the files that torch.save and torch.jit.save write."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import nn

from graftcam.exporter import CaptureError, candidates_of, export
from graftcam.exporter.source.named import load_source
from support.nets import Tiny, seeded

IMAGE = torch.rand(1, 3, 8, 8)
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")


class Branches(nn.Module):
    """A loop and a condition that only scripting keeps."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fc = nn.Conv2d(3, 4, 3, padding=1), nn.Linear(4, 3)

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        x = self.stem(image).relu()
        if x.dim() == 4:
            x = x.mean((2, 3))
        return self.fc(x)


def test_a_scripted_module_is_explained_by_way_of_a_file(tmp_path: Path) -> None:
    script = torch.jit.script(seeded(Branches()))
    path = tmp_path / "m.onnx"
    report = export(script, path, (IMAGE,))
    assert report.verification.verdict == "pass"
    assert report.spec.layers[0].grid == [8, 8]
    assert "TorchScript: exported as an ONNX file" in report.notes[-1]
    assert candidates_of(script, (IMAGE,))[0].name == report.spec.layers[0].name


def test_a_file_of_torchscript_is_a_source(tmp_path: Path) -> None:
    path = tmp_path / "team.pt"
    torch.jit.trace(seeded(Tiny()), IMAGE).save(path)
    source = load_source(str(path), shape=(3, 8, 8), trust=True)
    assert isinstance(source.model, torch.jit.ScriptModule)
    assert source.inputs[0].shape == IMAGE.shape
    with pytest.raises(CaptureError, match=r"the input of .* is unknown; give --shape"):
        load_source(str(path), trust=True)
    with pytest.raises(CaptureError, match="is no state dict but a TorchScript module"):
        load_source("graftcam.demo.model:build", str(path), (3, 96, 96))


def test_other_files_are_refused_for_what_they_hold(tmp_path: Path) -> None:
    weights, whole, other = (tmp_path / f"{name}.pt" for name in ("weights", "whole", "other"))
    torch.save(Tiny().state_dict(), weights)
    torch.save(nn.Sequential(nn.ReLU()), whole)
    other.write_text("no checkpoint")
    for path, reason in (
        (weights, "holds weights, not their architecture"),
        (whole, "it holds Python objects, and loading them would run code"),
        (other, "it is no file of torch.save, or it is damaged"),
        (tmp_path / "none.pt", "no file"),
    ):
        with pytest.raises(CaptureError, match=reason):
            load_source(str(path), shape=(3, 8, 8))
    with pytest.raises(CaptureError, match=r"convert it to ONNX first.* of Keras"):
        load_source(str(tmp_path / "m.keras"))


class Rated(nn.Module):
    """A sound and its sampling rate, as silero's detector takes them."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.fc = nn.Conv1d(1, 4, 3), nn.Linear(4, 2)

    def forward(self, sound: torch.Tensor, rate: int) -> torch.Tensor:
        return self.fc(self.stem(sound[:, None]).relu().mean(2)) * (rate / 16000)


def test_numbers_beside_tensors_are_refused_by_type(tmp_path: Path) -> None:
    script = torch.jit.script(seeded(Rated()))
    with pytest.raises(CaptureError, match="this TorchScript module takes int beside tensors"):
        export(script, tmp_path / "m.onnx", (torch.rand(1, 64), 16000))
