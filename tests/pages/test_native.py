"""The examples in C++ and Rust: ONNX Runtime's and OpenVINO's own interfaces compute the same."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from graftcam.exporter.graph.profiles import ProfileName
from graftcam.runtime import Explainer
from support.browser import need
from support.exports import make
from support.images import noise
from support.nets import Tiny
from support.paths import ROOT

PROGRAMS = ROOT / "out"


@pytest.mark.parametrize(
    ("name", "profile"),
    [("cpp/explain", "default"), ("cpp/explain_openvino", "openvino"), ("rust/explain", "default")],
)
@pytest.mark.parametrize("wanted", [None, 1])
def test_a_program_explains(
    tmp_path: Path, name: str, profile: ProfileName, wanted: int | None
) -> None:
    program = PROGRAMS / name
    need(program.exists(), f"{name} (make {name.partition('/')[0]})")
    model, pixels = tmp_path / "model.onnx", tmp_path / "pixels.f32"
    make(Tiny(3), model, profile=profile)
    x = noise(1)
    x.tofile(pixels)
    asked = [] if wanted is None else [str(wanted)]
    done = subprocess.run(
        [program, model, pixels, *asked], check=False, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    found = Explainer(model, "cpu").run(x, [[-1 if wanted is None else wanted]])
    lines = done.stdout.splitlines()
    assert f"class {found['classes'][0, 0]}" in lines
    printed = {line.split()[0]: float(line.split()[-1]) for line in lines[-2:]}
    assert printed["score"] == pytest.approx(found["scores"][0, 0], rel=1e-4)
    assert printed["heatmap"] == pytest.approx(found["heatmap"].max(), rel=1e-4)
    if name == "cpp/explain":
        assert any(line.startswith("optional input class_index [") for line in lines)
        assert any(line.startswith("output heatmap [") for line in lines)
