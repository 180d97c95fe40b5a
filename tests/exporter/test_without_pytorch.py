"""ONNX files need no PyTorch: `graftcam[onnx]` lists, exports, verifies and shrinks them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from support.onnx_bytes import onnx_model

# What `graftcam[export]` adds to `graftcam[onnx]`, and what people have beside it.
MISSING = ["torch", "torchvision", "onnxscript", "timm", "transformers", "ultralytics", "PIL"]
TEXT = """<ir_version: 8, opset_import: ["" : 18]>
    net (float[N, 3, 16, 16] image) => (float[N, 4] logits)
    {
        layer = Conv <pads = [1, 1, 1, 1]> (image, kernel)
        rectified = Relu(layer)
        mean = GlobalAveragePool(rectified)
        flat = Flatten(mean)
        logits = MatMul(flat, head)
    }"""
# All in one process: each import of the exporter takes a second.
COMMANDS = """
import sys
sys.modules.update(dict.fromkeys(sys.argv[1].split()))
import click
from graftcam.cli import main
plain, made, small, page, photos = sys.argv[2:]
for arguments in (
    ["layers", plain],
    ["export", plain, "-o", made, "--extra", "head", "--extra", "layercam", "--report", page,
     "--preprocess", "unit", "--images", photos],
    ["verify", made, "--against", plain, "--seconds", "inf"],
    ["verify", made],
    ["inspect", made],
    ["shrink", made, "--images", photos, "-o", small],
    ["ops"],
):
    print("#", *arguments[:1])
    try:
        main([*arguments], standalone_mode=False)
    except click.exceptions.Exit as end:
        assert end.exit_code == 0, arguments
for arguments in (
    ["layers", "torchvision:resnet18"],
    ["export", "graftcam.demo.model:build", "--shape", "3,96,96", "-o", made],
    ["demo"],
):
    try:
        main([*arguments], standalone_mode=False)
    except click.ClickException as error:
        print("!", error.format_message())
"""


def write_plain(path: Path) -> Path:
    draw = np.random.default_rng(0)
    constants = {
        "kernel": draw.standard_normal((5, 3, 3, 3)).astype(np.float32),
        "head": draw.standard_normal((5, 4)).astype(np.float32),
    }
    path.write_bytes(onnx_model(TEXT, constants))
    return path


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> subprocess.CompletedProcess[str]:
    folder = tmp_path_factory.mktemp("onnx")
    photos = folder / "photos"
    photos.mkdir()
    for number in range(3):
        noise = np.random.default_rng(number).integers(0, 256, (16, 16, 3), np.uint8)
        cv2.imwrite(str(photos / f"{number}.png"), noise)
    paths = [write_plain(folder / "plain.onnx"), folder / "made.onnx", folder / "small.onnx",
             folder / "page", photos]  # fmt: skip
    return subprocess.run(
        [sys.executable, "-c", COMMANDS, " ".join(MISSING), *map(str, paths)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip


def test_every_command_works_on_onnx_files(done: subprocess.CompletedProcess[str]) -> None:
    assert done.returncode == 0, done.stderr
    assert "\n* rectified " in done.stdout
    assert "verified against finite-differences" in done.stdout
    assert done.stdout.count("made.onnx passes: finite-differences") == 2
    assert "Conv " in done.stdout


def test_other_sources_say_what_to_install(done: subprocess.CompletedProcess[str]) -> None:
    remedy = 'needs PyTorch: pip install "graftcam[export]"'
    subjects = ("torchvision:resnet18", "graftcam.demo.model:build")
    assert [line for line in done.stdout.splitlines() if line.startswith("! ")] == [
        *(f"! {subject} {remedy}" for subject in subjects),
        "! onnxscript, torch, torchvision missing; the demo needs: "
        'pip install "graftcam[cpu,demo]"',
    ]


def test_no_warning_of_onnx_runtime_reaches_the_user(
    done: subprocess.CompletedProcess[str],
) -> None:
    assert done.returncode == 0
    assert "onnxruntime" not in done.stderr
