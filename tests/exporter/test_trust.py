"""No source runs code that the user did not name or trust."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch import nn

from graftcam.exporter import CaptureError, export
from graftcam.exporter.source.attribute import attribute
from graftcam.exporter.source.checkpoint import read_weights
from graftcam.exporter.source.named import load_source
from support.cli import refuse
from support.nets import Tiny, seeded

pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning")
MODEL = """
import torch
def build():
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.ReLU(),
                               torch.nn.AdaptiveAvgPool2d(1), torch.nn.Flatten())
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder; Python's search path is as before afterwards."""
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.chdir(tmp_path)
    return tmp_path


class Touch:
    """A pickle that writes a file as it is loaded."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, ...]:
        return Path.touch, (self.path,)


def test_a_program_is_loaded_only_if_it_is_trusted(folder: Path) -> None:
    program, script = folder / "m.pt2", folder / "m.pt"
    program.write_bytes(b"whatever it holds")
    torch.jit.trace(seeded(Tiny()), torch.rand(1, 3, 8, 8)).save(script)
    for path, why in (
        (program, "torch.export.load unpickles parts of it and evaluates expressions in it"),
        (script, "TorchScript is a program, which can read and write files"),
    ):
        for command in (("layers", path), ("export", path, "-o", folder / "out.onnx")):
            said = refuse(*command, "--shape", "3,8,8") if path is script else refuse(*command)
            assert f"{path.name} can run code of whoever made it: {why}" in said
            assert "--trust-source" in said
            assert "safetensors" in said
    with pytest.raises(CaptureError, match=r"cannot read m\.pt2 as an exported program: "):
        load_source(str(program), trust=True)
    assert load_source(str(script), shape=(3, 8, 8), trust=True).inputs
    assert not (folder / "out.onnx").exists()


def test_torchscript_does_write_files(folder: Path) -> None:
    """Why it must be trusted."""

    @torch.jit.script
    def write(x: torch.Tensor) -> torch.Tensor:
        torch.save(x, "written.pt")
        return x

    write(torch.zeros(1))
    assert (folder / "written.pt").exists()


def test_a_checkpoint_of_objects_is_not_loaded_and_nobody_advises_to(folder: Path) -> None:
    torch.save({"model": Touch(folder / "touched")}, folder / "evil.pt")
    with pytest.raises(CaptureError, match="safetensors") as caught:
        read_weights(folder / "evil.pt")
    assert "weights_only" not in str(caught.value)
    assert not (folder / "touched").exists()


def test_a_module_of_the_working_folder_takes_no_ones_place(folder: Path) -> None:
    (folder / "colorsys.py").write_text("rgb_to_hsv = 'taken'")
    (folder / "model_of_mine.py").write_text("build = 'mine'")
    sys.modules.pop("colorsys", None)
    assert attribute("model_of_mine", "build") == "mine"
    assert attribute("colorsys", "rgb_to_hsv") != "taken"
    (folder / "colorsys.py").write_text("build = 'mine'")
    with pytest.raises(CaptureError, match=r"it is the installed .*; give colorsys\.py another"):
        attribute("colorsys", "build")


def test_nor_does_it_for_the_command(folder: Path) -> None:
    """Which Python starts with the working folder first."""
    for name in ("click", "torch", "onnx"):
        (folder / f"{name}.py").write_text("open('taken', 'w')")
    (folder / "mine.py").write_text(MODEL)
    command = [sys.executable, "-m", "graftcam", "layers", "mine:build", "--shape", "3,8,8"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert not (folder / "taken").exists()


@pytest.mark.parametrize(
    "text",
    ["import sys\nsys.exit(0)", "import sys\ndef build(): sys.exit(0)"],
    ids=["module", "factory"],
)
def test_a_factory_that_ends_the_program_has_failed(folder: Path, text: str) -> None:
    name = f"leaving_{len(text)}"
    (folder / f"{name}.py").write_text(text)
    said = refuse("export", f"{name}:build", "--shape", "3,8,8", "-o", "out.onnx")
    assert "it ends the program with sys.exit(0); let it return or raise" in said


class Leaving(nn.Module):
    """A model whose forward ends the program."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        sys.exit(0)


def test_so_has_a_model_that_does(folder: Path) -> None:
    with pytest.raises(CaptureError, match=r"Leaving ends the program with sys\.exit\(0\)"):
        export(Leaving(), folder / "out.onnx", (torch.zeros(1, 3, 8, 8),))
    assert list(folder.iterdir()) == []
