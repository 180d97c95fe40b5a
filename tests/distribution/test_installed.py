"""The wheel works in clean environments, each with one extra and nothing else."""

from __future__ import annotations

import json
import os
import subprocess
import tomllib
import venv
from pathlib import Path

import numpy as np
import onnx
import pytest

import graftcam
from graftcam.demo.bundled import images
from graftcam.demo.run import export_digits
from support.distributions import Dist
from support.onnx_text import parsed
from support.paths import ROOT

pytestmark = pytest.mark.package
SETTINGS = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
EXTRAS = SETTINGS["project"]["optional-dependencies"]
ONNX = {"onnx", "onnx_ir", "onnxscript"}
TORCH = {"torch", "torchvision", "timm"}
PIP = ("python", "-m", "pip", "install", "-qq", "--disable-pip-version-check")


class Environment:
    """A virtual environment that sees nothing of this one."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        venv.create(folder, with_pip=True)

    def run(self, program: str, *arguments: object, code: int = 0) -> str:
        """Run a program of the environment and return what it prints on both streams."""
        clean = {name: text for name, text in os.environ.items() if not name.startswith("PYTHON")}
        done = subprocess.run(
            [str(self.folder / "bin" / program), *map(str, arguments)],
            check=False, cwd=self.folder, env=clean, text=True, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        assert done.returncode == code, done.stdout
        return done.stdout

    def install(self, what: str | Path) -> None:
        """Install a wheel, perhaps with an extra; pip has nothing to say, and finds no conflict."""
        assert self.run(*PIP, what) == ""
        assert "No broken requirements" in self.run("python", "-m", "pip", "check")

    def found(self, modules: set[str]) -> set[str]:
        """Those of the modules that can be imported."""
        code = f"import importlib.util as u; print(*filter(u.find_spec, {sorted(modules)}))"
        return set(self.run("python", "-c", code).split())


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's artifact, made here, where PyTorch is."""
    path = tmp_path_factory.mktemp("demo") / "digits.onnx"
    export_digits(path)
    return path


def plain_model(path: Path) -> Path:
    """A small classifier as an ONNX file, as others write it."""
    text = """<ir_version: 8, opset_import: ["" : 18]>
        graph (float[N, 3, 16, 16] x) => (float[N, 4] y) {
            c = Conv<pads = [1, 1, 1, 1]>(x, w)
            layer = Relu(c)
            p = GlobalAveragePool(layer)
            f = Flatten(p)
            y = MatMul(f, v)
        }"""
    draw = np.random.default_rng(0).standard_normal
    weights = {"w": draw((8, 3, 3, 3)), "v": draw((8, 4))}
    model = parsed(text, {name: array.astype(np.float32) for name, array in weights.items()})
    onnx.save(model, path)
    return path


def test_the_runtime_explains_without_pytorch_and_onnx(
    dist: Dist, digits: Path, tmp_path: Path
) -> None:
    environment = Environment(tmp_path / "cpu")
    explain = ("graftcam", "explain", digits, images()[0].path, "-o", "out")
    environment.install(dist.wheel)
    assert environment.run("graftcam", "--version") == f"graftcam, version {graftcam.__version__}\n"
    assert 'pip install "graftcam[cpu]"' in environment.run(*explain, code=1).splitlines()[-1]

    environment.install(f"{dist.wheel}[cpu]")
    assert environment.found(ONNX | TORCH | {"PIL"}) == set()
    assert "score" in environment.run(*explain)
    assert list((environment.folder / "out").glob("*.png"))
    record = json.loads(environment.run("graftcam", "inspect", digits, "--json"))
    assert record["tools"]["graftcam"] == graftcam.__version__
    # What type checkers look for.
    code = "import importlib.resources as r; print((r.files('graftcam') / 'py.typed').is_file())"
    assert environment.run("python", "-c", code).strip() == "True"
    said = environment.run("graftcam", "demo", code=1)
    assert 'pip install "graftcam[' in said.splitlines()[-1]


@pytest.mark.skipif("onnx" not in EXTRAS, reason="there is no extra `onnx` yet")
def test_with_onnx_a_file_is_exported_and_verified_without_pytorch(
    dist: Dist, tmp_path: Path
) -> None:
    environment = Environment(tmp_path / "onnx")
    environment.install(f"{dist.wheel}[onnx]")
    assert environment.found(TORCH) == set()
    model, artifact = plain_model(tmp_path / "plain.onnx"), tmp_path / "explained.onnx"
    assert "layer" in environment.run("graftcam", "layers", model)
    environment.run("graftcam", "export", model, "-o", artifact)
    environment.run("graftcam", "verify", artifact, "--against", model)
    assert json.loads(environment.run("graftcam", "ops", "--json"))["Conv"]["state"] == "rule"
    said = environment.run("graftcam", "export", "torchvision:resnet18", "-o", "r.onnx", code=1)
    assert 'pip install "graftcam[export]"' in said.splitlines()[-1]


def test_the_extra_export_can_be_installed(dist: Dist, tmp_path: Path) -> None:
    """pip finds versions that fit each other; PyTorch itself is too large to install once more."""
    report = tmp_path / "report.json"
    environment = Environment(tmp_path / "export")
    environment.run(*PIP, "--dry-run", "--report", report, f"{dist.wheel}[cpu,export]")
    metadata = [one["metadata"] for one in json.loads(report.read_text("utf-8"))["install"]]
    assert {one["name"] for one in metadata} >= {
        "graftcam", "torch", "torchvision", "onnx", "onnx-ir", "onnxscript", "onnxruntime",
    }  # fmt: skip
