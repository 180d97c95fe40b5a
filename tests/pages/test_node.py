"""The Node.js example: other bindings of ONNX Runtime compute the same."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.spec import Preprocess
from support.browser import need
from support.exports import make
from support.images import noise
from support.nets import Tiny
from support.paths import ROOT

EXAMPLE = ROOT / "examples" / "node"


@pytest.mark.parametrize("wanted", [-1, 1])
def test_node_lists_inputs_and_outputs_and_explains(tmp_path: Path, wanted: int) -> None:
    node = shutil.which("node")
    need(node, "node")
    need((EXAMPLE / "node_modules").is_dir(), "onnxruntime-node (make node)")
    model, pixels = tmp_path / "model.onnx", tmp_path / "pixels.f32"
    transform = Preprocess("", [8, 8], None, "exact", "bilinear", 1, [0.0] * 3, [1.0] * 3)
    options = {"labels": ["cat", "dog", "owl"], "profile": "web", "preprocess": transform}
    make(Tiny(3), model, **options)
    x = noise(1)
    x.tofile(pixels)
    done = subprocess.run(
        [str(node), str(EXAMPLE / "explain.js"), str(model), str(pixels), str(wanted)],
        check=False, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    explainer = Explainer(model, "cpu")
    found = explainer.run(x, [[wanted]])
    lines = done.stdout.splitlines()
    (name,) = {*explainer.spec.own_inputs} - {"region"}
    assert any(line.startswith(f"input {name} int64 [") for line in lines)
    assert any(line.startswith("output heatmap float32 [") for line in lines)
    number = int(found["classes"][0, 0])
    assert f"class {number} {explainer.spec.labels[number]}" in lines
    printed = {line.split()[0]: float(line.split()[-1]) for line in lines[-2:]}
    assert printed["score"] == pytest.approx(found["scores"][0, 0], rel=1e-5)
    assert printed["heatmap"] == pytest.approx(found["heatmap"].max(), rel=1e-5)
