"""What is no model is refused in one line, which is true for the command that was called."""

from __future__ import annotations

from pathlib import Path

import click
import pytest

from graftcam.cli import main
from graftcam.commands.artifact import OF_PYTORCH
from graftcam.commands.models import ModelFile
from graftcam.exporter.source.checkpoint import CHECKPOINTS
from graftcam.runtime.page import ort_files
from support.artifacts import write_artifact
from support.cli import refuse

FOUND = "an artifact, an ONNX file, torchvision:NAME or timm:NAME: graftcam "
ARTIFACT = "an artifact of `graftcam export`: graftcam "
SOURCE = "torchvision:NAME, timm:NAME, package.module:factory, model.pt2, script.pt or model.onnx"
COMMANDS = {
    "page": ("-o out", f"{FOUND}page [OPTIONS] MODEL..."),
    "serve": ("--port 0", f"{FOUND}serve [OPTIONS] MODEL..."),
    "explain": ("photo.jpg -o out", f"{FOUND}explain [OPTIONS] SOURCE IMAGES..."),
    "concepts": ("photo.jpg -o out", f"{FOUND}concepts [OPTIONS] SOURCE IMAGES..."),
    "evaluate": ("photo.jpg -o out", f"{FOUND}evaluate [OPTIONS] SOURCE IMAGES..."),
    "bench": ("", f"{ARTIFACT}bench [OPTIONS] MODEL"),
    "inspect": ("", f"{ARTIFACT}inspect [OPTIONS] MODEL"),
    "optimize": ("-o out.onnx", f"{ARTIFACT}optimize [OPTIONS] MODEL"),
    "package": ("--triton -o out", f"{ARTIFACT}package [OPTIONS] MODEL"),
    "visualize": ("--class 1 -o out.png", f"{ARTIFACT}visualize [OPTIONS] MODEL"),
    "verify": ("", f"{ARTIFACT}verify [OPTIONS] ARTIFACT"),
    "sign": ("--key key.pem", f"{ARTIFACT}sign [OPTIONS] ARTIFACT"),
    "shrink": ("--images photos -o out.onnx", f"{ARTIFACT}shrink [OPTIONS] ARTIFACT"),
    "diff": ("second.onnx photo.jpg", f"{ARTIFACT}diff [OPTIONS] FIRST SECOND IMAGES..."),
    "prompts": (
        "--tokenizer t.json -p dog -o out.npz",
        "the text encoder as an ONNX file: graftcam prompts [OPTIONS] TEXT_ENCODER",
    ),
    "export": ("-o out.onnx", SOURCE),
    "layers": ("", SOURCE),
}
WRONG = {
    "photo.jpg": "photo.jpg is an image, no model; give ",
    "photos": "photos is a folder, no model; give ",
    "empty": "empty is empty, no model; give ",
    "https://example.org/model.onnx": "https://example.org/model.onnx is an address, and models "
    "are not downloaded; give ",
}


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("photos").mkdir()
    Path("empty").touch()
    for name in ("photo.jpg", "notes.txt"):
        Path(name).write_text("Some words.")
    return tmp_path


@pytest.mark.parametrize("wrong", WRONG)
@pytest.mark.parametrize("name", COMMANDS)
def test_what_is_no_model_is_refused_with_what_the_command_takes(name: str, wrong: str) -> None:
    rest, remedy = COMMANDS[name]
    assert refuse(name, wrong, *rest.split()) == f"Error: {WRONG[wrong]}{remedy}"


@pytest.mark.parametrize("name", ["page", "serve", "explain", "concepts", "evaluate"])
def test_a_text_is_no_model_and_nothing_exports_it(
    name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # The page looks for the package that runs models in browsers before it opens a file.
    monkeypatch.setattr(ort_files, "installed", lambda folder: folder)
    rest, remedy = COMMANDS[name]
    assert refuse(name, "notes.txt", *rest.split()) == (
        f"Error: notes.txt is no model; give {remedy}"
    )


def test_a_source_to_compare_with_is_a_model_too() -> None:
    write_artifact(Path("model.onnx"))
    assert "photo.jpg is an image, no model; give torchvision:NAME" in refuse(
        "verify", "model.onnx", "--against", "photo.jpg"
    )


def test_every_argument_that_is_the_file_of_a_model_is_checked() -> None:
    named = {"model", "artifact", "first", "second", "text_encoder"}
    for name, command in main.commands.items():
        for one in command.params:
            if isinstance(one, click.Argument) and one.name in named:
                assert isinstance(one.type, ModelFile), name


def test_the_hint_to_export_is_for_files_that_export_takes() -> None:
    assert set(OF_PYTORCH) == {*CHECKPOINTS, ".pt2"}
