"""ONNX Runtime's optimised form: the same artifact, on this machine only."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

import numpy as np
import onnxruntime
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.errors import SessionError
from graftcam.runtime.session import optimized_for as module
from graftcam.runtime.session.optimize import optimize
from graftcam.runtime.session.optimized_for import Target, read_target, write_target
from support.artifacts import SCENE, write_artifact


@pytest.fixture
def artifact(tmp_path: Path) -> Path:
    return write_artifact(tmp_path / "patches.onnx")


def test_the_optimised_form_is_the_same_artifact(artifact: Path, tmp_path: Path) -> None:
    made = optimize(artifact, tmp_path / "fast.onnx", "cpu")
    assert made.target == Target.here(onnxruntime, "CPUExecutionProvider")
    assert made.size == made.path.stat().st_size
    before, after = Explainer(artifact, "cpu"), Explainer(made.path)
    assert after.spec == before.spec
    assert after.provider == "CPUExecutionProvider"
    for classes in (None, ["red", "green"], []):
        one, other = before.explain(SCENE, classes), after.explain(SCENE, classes)
        assert one.classes == other.classes
        np.testing.assert_allclose(one.maps, other.maps, rtol=1e-6)


def test_loading_it_skips_the_optimiser(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = optimize(artifact, tmp_path / "fast.onnx", "cpu")
    levels = onnxruntime.GraphOptimizationLevel
    options = Explainer(made.path)._session._session.get_session_options()
    assert options.graph_optimization_level == levels.ORT_DISABLE_ALL
    options = Explainer(artifact)._session._session.get_session_options()
    assert options.graph_optimization_level == levels.ORT_ENABLE_ALL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"onnxruntime": "1.0.0"}, r"onnxruntime 1.0.0 \(here: \d"),
        ({"machine": "Linux riscv64"}, r"machine Linux riscv64 \(here: \w"),
    ],
)
def test_elsewhere_it_is_refused_with_the_remedy(
    artifact: Path, tmp_path: Path, change: dict[str, str], message: str
) -> None:
    here = Target.here(onnxruntime, "CPUExecutionProvider")
    write_target(artifact, replace(here, **change))
    with pytest.raises(
        SessionError,
        match=rf"was optimised for {message}.*; run `graftcam optimize` on the original",
    ):
        Explainer(artifact)


def test_another_provider_than_its_own_is_refused(
    artifact: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_target(artifact, Target.here(onnxruntime, "CUDAExecutionProvider"))
    with pytest.raises(SessionError, match=r"provider CUDAExecutionProvider \(here: CPU"):
        Explainer(artifact, "cpu")
    with pytest.raises(SessionError, match="provider 'CUDAExecutionProvider' is not available"):
        Explainer(artifact)


def test_the_optimised_form_is_not_optimised_again(artifact: Path, tmp_path: Path) -> None:
    made = optimize(artifact, tmp_path / "fast.onnx", "cpu")
    before = made.path.read_bytes()
    with pytest.raises(SessionError, match=r"fast.onnx is optimised already; optimise the orig"):
        optimize(made.path, made.path, "cpu")
    assert made.path.read_bytes() == before


def test_what_cannot_be_optimised_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("no model")
    with pytest.raises(SessionError, match=r"cannot read text\.onnx as ONNX"):
        optimize(tmp_path / "text.onnx", tmp_path / "fast.onnx", "cpu")
    assert [path.name for path in tmp_path.iterdir()] == ["text.onnx"]


def test_a_damaged_entry_is_refused(artifact: Path) -> None:
    write_target(artifact, Target("1", "2", "3"))
    data = artifact.read_bytes()
    artifact.write_bytes(data[:-3])
    with pytest.raises(SessionError, match="damaged at its end; run `graftcam optimize` again"):
        read_target(artifact)


def test_the_machine_record_contains_the_instruction_sets(monkeypatch: pytest.MonkeyPatch) -> None:
    here = module.machine()
    assert here
    monkeypatch.setattr(module, "_instruction_sets", lambda: "avx sve")
    assert module.machine() != here
    assert module.machine().endswith("avx sve")


def test_session_options_reach_onnxruntime(
    artifact: Path, caplog: pytest.LogCaptureFixture
) -> None:
    options = {
        "arena": False, "mem_pattern": False, "spinning": False, "inter_op_threads": 2,
        "optimization": "basic", "session.set_denormal_as_zero": True,
    }  # fmt: skip
    with caplog.at_level(logging.INFO, "graftcam"):
        explainer = Explainer(artifact, "cpu", threads=1, options=options)
    set_to = explainer._session._session.get_session_options()
    assert set_to.intra_op_num_threads == 1
    assert not set_to.enable_cpu_mem_arena
    assert not set_to.enable_mem_pattern
    assert set_to.inter_op_num_threads == 2
    assert set_to.execution_mode == onnxruntime.ExecutionMode.ORT_PARALLEL
    assert set_to.graph_optimization_level == onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
    assert set_to.get_session_config_entry("session.intra_op.allow_spinning") == "0"
    assert set_to.get_session_config_entry("session.set_denormal_as_zero") == "1"
    assert explainer.explain(SCENE).classes == [0]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"arenas": False}, "unknown option 'arenas'; there are arena, mem_pattern, spinning"),
        ({"arena": "no"}, "option arena='no': give True or False"),
        ({"inter_op_threads": True}, "option inter_op_threads=True: give a number"),
        ({"optimization": "most"}, "option optimization='most': give one of all, extended, basic"),
    ],
)
def test_wrong_options_are_refused(
    artifact: Path, options: dict[str, object], message: str
) -> None:
    with pytest.raises(SessionError, match=message):
        Explainer(artifact, options=options)
