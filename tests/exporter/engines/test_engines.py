"""Engines: what all have in common, and how the gate judges one that rounds or is wrong."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Callable, Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch

from benchmarks.engines.engines import ENGINES as BENCHED
from benchmarks.engines.engines import WEB
from graftcam.exporter import SettingsError, export
from graftcam.exporter.release import verify_artifact
from graftcam.runtime import Explainer
from graftcam.runtime.errors import SessionError
from graftcam.runtime.onnx_file.ports import read_ports
from graftcam.runtime.session.engines import table
from graftcam.runtime.session.engines.engine import Engine, FileSession, own_words
from graftcam.runtime.session.session import Model, Session
from support.browser import need
from support.cli import fail, succeed
from support.exports import make
from support.interpreter import python
from support.nets import Tiny, seeded
from support.small_detector import export_detector, write_model

Change = Callable[[str, np.ndarray], np.ndarray]


class Altered(Engine):
    """ONNX Runtime's CPU, with inputs or outputs that are changed a little."""

    feeds: Change = staticmethod(lambda _, value: value)
    found: Change = staticmethod(lambda _, value: value)

    def start(self) -> Any:
        return None

    def version(self) -> str:
        return "1"

    def open(self, path: Path, threads: int | None) -> FileSession:
        return _Altered(self, path)


class _Altered(FileSession):
    def __init__(self, engine: Altered, path: Path) -> None:
        super().__init__(engine, path)
        self._change = engine
        self._session = onnxruntime.InferenceSession(path)

    def run(self, names: Sequence[str], feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        given = {name: self._change.feeds(name, value) for name, value in feeds.items()}
        found = self._session.run(list(names), given)
        return [self._change.found(n, v) for n, v in zip(names, found, strict=True)]


def altered(monkeypatch: pytest.MonkeyPatch, **changes: Change) -> str:
    engine = type("Changed", (Altered,), {k: staticmethod(v) for k, v in changes.items()})
    monkeypatch.setitem(table.ENGINES, "odd", engine("odd", "Odd", "odd", "get odd"))
    return "odd"


class Kinks(torch.nn.Module):
    """Many ReLUs, of which some lie so near their kinks that rounding decides."""

    def __init__(self) -> None:
        super().__init__()
        self.first = torch.nn.Conv2d(3, 64, 3, padding=1)
        self.rest = torch.nn.Sequential(
            *(torch.nn.Sequential(torch.nn.Conv2d(64, 64, 1), torch.nn.ReLU()) for _ in range(8))
        )
        self.head = torch.nn.Linear(64, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.rest(self.first(x)).mean((2, 3)))


def kinky(path: Path) -> Path:
    export(seeded(Kinks()), path, (torch.zeros(1, 3, 24, 24),), layers="first", verify="off")
    return path


def test_ports_are_what_onnx_runtime_says(tmp_path: Path) -> None:
    paths = [make(Tiny(3), tmp_path / "a.onnx").path, write_model(tmp_path / "plain.onnx")]
    paths += [export_detector(tmp_path / "b.onnx")]
    for path in paths:
        session, ports = onnxruntime.InferenceSession(path), read_ports(path, SessionError)
        for ours, theirs in (
            (ports.inputs, session.get_inputs()),
            (ports.optional, session.get_overridable_initializers()),
            (ports.outputs, session.get_outputs()),
        ):
            assert [(p.name, p.type, p.shape) for p in ours] == [
                (p.name, p.type, p.shape) for p in theirs
            ]
        assert ports.metadata == session.get_modelmeta().custom_metadata_map
    (tmp_path / "no.onnx").write_bytes(b"\x08\x07")
    with pytest.raises(SessionError, match=r"cannot read no.onnx as ONNX"):
        read_ports(tmp_path / "no.onnx", SessionError)


def test_an_engine_that_rounds_is_right(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Values off by 1e-4 flip ReLUs, and gradients jump by as much as ONNX Runtime's own do."""

    def rounded(name: str, value: np.ndarray) -> np.ndarray:
        if value.dtype != np.float32:
            return value
        noise = np.random.default_rng(9).standard_normal(value.shape)
        return (value * (1 + 1e-4 * noise)).astype(np.float32)

    path = kinky(tmp_path / "a.onnx")
    _, verdict = verify_artifact(path, engine=altered(monkeypatch, feeds=rounded))
    assert verdict.status == "pass", verdict.failures
    assert verdict.engine == "odd 1"
    (kinks,) = [one for one in verdict.findings if one.reason.startswith("kinks: the engine's")]
    assert kinks.check == "gradients"
    assert kinks.value is not None
    assert 1e-3 < kinks.value < 0.1


@pytest.mark.parametrize("name", ["gradients", "heatmap", "scores", "activations"])
def test_an_engine_that_is_wrong_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    path = kinky(tmp_path / "a.onnx")
    off = altered(monkeypatch, found=lambda n, v: v * np.float32(1.1) if n == name else v)
    _, verdict = verify_artifact(path, engine=off)
    assert verdict.failures
    said = [one.reason for one in verdict.failures]
    assert all("odd is wrong here, ONNX Runtime's CPU is right" in one for one in said), said


def test_a_wrong_artifact_is_not_the_engines_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = kinky(tmp_path / "a.onnx")
    model = onnx.load(path)
    node = next(one for one in model.graph.node if "gradients" in one.output)
    node.output[0] = "almost"
    scale = onnx.numpy_helper.from_array(np.float32(1.1), "scale")
    model.graph.initializer.append(scale)
    model.graph.node.append(onnx.helper.make_node("Mul", ["almost", "scale"], ["gradients"]))
    onnx.save(model, path)
    _, verdict = verify_artifact(path, engine=altered(monkeypatch))
    assert verdict.failures
    assert not any("is wrong here" in one.reason for one in verdict.failures)


def test_what_cannot_be_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = make(Tiny(3), tmp_path / "a.onnx").path
    said = fail("verify", path, "--engine", "openvin")
    assert "provider 'openvin' is not available" in said
    assert "other engines are openvino, openvino-plugin, web" in said
    said = fail("verify", path, "--engine", "tensorrt-rtx")
    assert (
        "plug-in is not installed (No module named 'onnxruntime_ep_nv_tensorrt_rtx'); `pip" in said
    )
    monkeypatch.setenv("NODE_PATH", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    assert "is not installed" in fail("verify", path, "--engine", "web")
    with pytest.raises(SettingsError, match="profile 'cuda' is not for engine 'openvino'"):
        export(seeded(Tiny(3)), tmp_path / "b.onnx", (torch.zeros(1, 3, 8, 8),), engine="openvino",
               profile="cuda")  # fmt: skip
    with pytest.raises(SessionError, match="providers are ONNX Runtime's: give them, or an engine"):
        Explainer(path, "cpu", engine="onnx")
    with pytest.raises(SessionError, match="options are those of ONNX Runtime; onnx has none"):
        Explainer(path, engine="onnx", options={"arena": False})
    assert Explainer(path, engine="cpu").provider == "CPUExecutionProvider"
    assert own_words("Exception from src/core.cpp:84:\nCheck failed\n\nno  kernel") == (
        "Check failed no kernel"
    )


def test_an_engine_without_its_package_is_missed_before_the_export(tmp_path: Path) -> None:
    steps = list[str]()
    with pytest.raises(SessionError, match="is not installed"):
        export(seeded(Tiny(3)), tmp_path / "a.onnx", (torch.zeros(1, 3, 8, 8),),
               engine="tensorrt-rtx", progress=steps.append)  # fmt: skip
    assert not steps


def test_onnx_own_evaluator_is_a_witness(tmp_path: Path) -> None:
    path = make(Tiny(3), tmp_path / "a.onnx").path
    _, verdict = verify_artifact(path, engine="onnx")
    assert verdict.status == "pass", verdict.failures


def test_webassembly_is_a_witness_and_explains(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    need(shutil.which("node"), "node")
    need((WEB / "onnxruntime-web").is_dir(), "onnxruntime-web (make browser)")
    monkeypatch.setenv("NODE_PATH", str(WEB))
    path = tmp_path / "a.onnx"
    make(Tiny(3), path, engine="web", verify="quick")
    assert (Session(path, "cpu").spec.verification.engine or "").startswith("web 1.")
    _, verdict = verify_artifact(path, engine="web")
    assert verdict.status == "pass", verdict.failures
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8), np.float32)
    feeds = {"x": x, "class_index": np.array([[0, 2]])}
    want, model = Model(path).run(feeds), Model(path, engine="web")
    for name, value in model.run(feeds).items():
        np.testing.assert_allclose(value, want[name], atol=1e-5)
    with pytest.raises(Exception, match="the run failed"):
        model.run(feeds, ["nothing"])
    monkeypatch.delenv("NODE_PATH")
    monkeypatch.chdir(tmp_path)
    assert "`npm install onnxruntime-web` in this folder" in fail("verify", path, "--engine", "web")


@pytest.mark.parametrize("detector", [False, True])
def test_webgpu_takes_no_tensor_without_elements(tmp_path: Path, *, detector: bool) -> None:
    """On a machine without a GPU a processor imitates one; K = 0 is among the runs."""
    pytest.importorskip("onnxruntime_ep_webgpu")
    environment = next(one for one in BENCHED if one.name == "webgpu").environment()
    need(len(environment) > 1, "a GPU, or a browser's Vulkan")
    path = tmp_path / "a.onnx"
    if detector:
        export_detector(path, profile="webgpu")
    else:
        make(Tiny(3), path, profile="webgpu")
    for engine in ("cpu", "webgpu"):
        code = f"""
from pathlib import Path
from graftcam.exporter.release import verify_artifact
_, verdict = verify_artifact(Path({str(path)!r}), engine={engine!r})
assert verdict.status == "pass", verdict.failures
print(verdict.engine)
"""
        assert python(code, env={**os.environ, **environment}).startswith(engine)


def test_openvino_model_servers_folder(tmp_path: Path) -> None:
    path = tmp_path / "cats.onnx"
    make(Tiny(3), path, profile="openvino", labels=["a", "b", "c"])
    models = tmp_path / "models"
    succeed("package", path, "--openvino", "-o", models)
    succeed("package", path, "--openvino", "-o", models, "--name", "two", "--mounted", "/srv/")
    listed = json.loads((models / "config.json").read_text())["model_config_list"]
    assert [one["config"]["base_path"] for one in listed] == ["/models/cats", "/srv/two"]
    assert listed[0]["config"]["plugin_config"] == {
        "INFERENCE_PRECISION_HINT": "f32", "CPU_RUNTIME_CACHE_CAPACITY": "0",
    }  # fmt: skip
    assert (models / "cats" / "labels.txt").read_text() == "a\nb\nc\n"
    assert (models / "cats" / "1" / "model.onnx").read_bytes() == path.read_bytes()
    assert json.loads((models / "two" / "graftcam.json").read_text())["profile"] == "openvino"
    if find_spec("openvino"):
        core, settings = import_module("openvino").Core(), listed[0]["config"]["plugin_config"]
        served = models / "cats" / "1" / "model.onnx"
        found = core.compile_model(core.read_model(served), "CPU", settings)
        assert found({"x": np.zeros((1, 3, 8, 8), np.float32), "class_index": [[-1]]})
    other = make(Tiny(3), tmp_path / "b.onnx").path
    assert "has profile default, which OpenVINO gets wrong" in fail(
        "package", other, "--openvino", "-o", models
    )
    (models / "config.json").write_text("[]")
    assert "has no model_config_list" in fail("package", path, "--openvino", "-o", models,
                                              "--name", "x")  # fmt: skip
    assert not (models / "x").exists()
    assert "give --triton or --openvino" in fail("package", path, "-o", models, code=2)
