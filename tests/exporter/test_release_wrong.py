"""Each kind of wrong artifact fails `graftcam verify`, with its reason."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import jsonschema
import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch

from graftcam.exporter.artifact.strip import write_plain
from graftcam.exporter.release import verify_artifact
from graftcam.exporter.source.named import Source
from graftcam.exporter.verify.checks import finite
from graftcam.exporter.verify.checks.autograd import verify_module
from graftcam.exporter.verify.run_checks import Origin, run_checks
from graftcam.exporter.verify.runs.artifact import Artifact
from graftcam.exporter.verify.runs.matrix import FULL
from graftcam.exporter.verify.verdict.findings import Verdict
from graftcam.exporter.verify.verdict.report import to_json
from graftcam.runtime.spec import Spec
from support.cli import call
from support.nets import Flat, Tiny, seeded
from support.paths import ROOT
from support.wrong_artifacts import (
    LABELS,
    WRONG,
    WRONG_BY_SOURCE,
    changed,
    flat_artifact,
    instead,
    swap_classes,
)

SCHEMA = json.loads((ROOT / "docs/verification.schema.json").read_text())
EXAMPLE = (torch.zeros(1, 3, 8, 8),)


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A right artifact; tests must not change the file."""
    return flat_artifact(tmp_path_factory.mktemp("good") / "flat.onnx")


@pytest.mark.parametrize(("change", "check", "reason"), WRONG.values(), ids=WRONG)
def test_a_wrong_artifact_fails_with_its_reason(
    good: Path, tmp_path: Path, change: Callable[[onnx.ModelProto], None], check: str, reason: str
) -> None:
    path = changed(good, tmp_path / "flat.onnx", change)
    origin = Origin(ir.load(path), module=seeded(Flat()), examples=EXAMPLE)
    verdict = run_checks(path, origin, full=True, everything=True)
    assert_fails(verdict, path, check, reason)


@pytest.mark.parametrize(
    ("change", "check", "reason"), WRONG_BY_SOURCE.values(), ids=WRONG_BY_SOURCE
)
def test_faults_that_only_the_source_reveals_fail_too(
    good: Path, tmp_path: Path, change: Callable[[onnx.ModelProto], None], check: str, reason: str
) -> None:
    path = changed(good, tmp_path / "flat.onnx", change)
    source = Source(seeded(Flat()), "nets", EXAMPLE)
    _, verdict = verify_artifact(path, source, LABELS)
    assert {one.check for one in verdict.failures} <= {check, "determinism"}
    assert_fails(verdict, path, check, reason)


def assert_fails(verdict: Verdict, path: Path, check: str, reason: str) -> None:
    assert verdict.status == "fail"
    reasons = [one.reason for one in verdict.failures if one.check == check]
    assert any(reason in one for one in reasons), verdict.failures
    jsonschema.validate(json.loads(to_json(path, None, None, verdict)), SCHEMA)


def test_a_heatmap_alone_that_is_wrong_fails(good: Path, tmp_path: Path) -> None:
    def louder(model: onnx.ModelProto) -> None:
        instead(model, "heatmap", "Add", np.array(0.1, np.float32))

    _, verdict = verify_artifact(changed(good, tmp_path / "flat.onnx", louder))
    assert {one.check for one in verdict.failures} == {"heatmap"}


def test_the_first_check_that_fails_decides(good: Path, tmp_path: Path) -> None:
    path = changed(good, tmp_path / "flat.onnx", swap_classes)
    origin = Origin(ir.load(path), module=seeded(Flat()), examples=EXAMPLE)
    verdict = run_checks(path, origin, full=True)
    assert {one.check for one in verdict.failures} == {"classes"}
    left_out = ["outputs", "activations", "gradients", "heatmap", "scores", "shapes"]
    assert verdict.stopped == left_out
    jsonschema.validate(json.loads(to_json(path, None, None, verdict)), SCHEMA)
    result = call("verify", path)
    assert result.exit_code == 1
    assert result.stdout.splitlines()[-1].endswith(f"{', '.join(left_out)} (--all checks all)")
    assert "skip  gradients: not made: classes failed before it" in result.stdout
    assert "(--all checks all)" not in call("verify", path, "--all").stdout


@pytest.mark.parametrize(("factor", "images"), [(1.01, 12), (3.0, 4)])
def test_a_gradient_that_is_wrong_on_every_image_takes_no_more_of_them(
    good: Path, tmp_path: Path, factor: float, images: int
) -> None:
    def scale(model: onnx.ModelProto) -> None:
        instead(model, "gradients", "Mul", np.array(factor, np.float32))

    path = changed(good, tmp_path / "flat.onnx", scale)
    origin = Origin(ir.load(path), module=seeded(Flat()), examples=EXAMPLE)
    verdict = run_checks(path, origin, full=True)
    assert verdict.images == images
    assert {one.level for one in verdict.findings if one.check == "gradients"} == {"all"}
    (failure,) = (one for one in verdict.failures if one.check == "gradients")
    assert "median" in failure.reason
    assert failure.reason.endswith("finite differences agree with PyTorch autograd")


def test_wrong_outputs_need_neither_more_images_nor_differences(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def scale(model: onnx.ModelProto) -> None:
        instead(model, model.graph.output[0].name, "Mul", np.array(1.1, np.float32))

    path = changed(good, tmp_path / "flat.onnx", scale)
    artifact = Artifact(path, Spec.from_json(onnx.load(path).metadata_props[0].value))
    verdict = verify_module(artifact, seeded(Flat()), EXAMPLE, matrix=FULL)
    assert (verdict.status, verdict.images) == ("fail", 4)
    assert {one.level for one in verdict.findings if one.level} == {"all"}
    monkeypatch.setattr(finite, "check_differences", lambda *args, **options: 1 / 0)
    write_plain(good, tmp_path / "plain.onnx")
    plain = tmp_path / "plain.onnx"
    verdict = finite.verify_file(artifact, ir.load(good), plain, matrix=FULL)
    assert {one.check for one in verdict.failures} == {"outputs"}


def test_another_model_than_the_source_is_reported_and_all_checks_the_rest(good: Path) -> None:
    source = Source(seeded(Tiny(5)), "nets", EXAMPLE)
    _, verdict = verify_artifact(good, source, everything=True)
    (failure,) = verdict.failures
    assert failure.check == "source"
    assert "cannot be exported as the artifact was: no layer is called" in failure.reason
    assert verdict.by_check()["gradients"] == "pass"
    _, verdict = verify_artifact(good, source)
    assert verdict.failures == [failure]
    assert verdict.by_check()["gradients"] == "skipped"
