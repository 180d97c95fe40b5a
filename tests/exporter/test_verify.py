"""What counts as equal, and that a changed artifact does not."""

from __future__ import annotations

import gc
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any
from weakref import WeakSet, ref

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper

from graftcam.exporter import VerificationError, export
from graftcam.exporter.memory import paused_collector
from graftcam.exporter.verify.checks.autograd import verify_module
from graftcam.exporter.verify.checks.torch_reference import Reference
from graftcam.exporter.verify.runs import artifact as runs_artifact
from graftcam.exporter.verify.runs.artifact import Artifact
from graftcam.exporter.verify.runs.matrix import FULL, QUICK, Matrix
from graftcam.exporter.verify.runs.running import load_session
from graftcam.exporter.verify.runs.tensors import checks
from graftcam.exporter.verify.verdict.compare import (
    compare,
    merge,
    relative_errors,
    smallest_cosine,
)
from graftcam.exporter.verify.verdict.findings import compared
from support.nets import Flat, Tiny, seeded


def test_relative_errors_are_per_image_and_treat_vanishing_references() -> None:
    expected = np.array([[3.0, 4.0], [0.0, 0.0], [0.0, 0.0], [1.0, 0.0]])
    actual = np.array([[3.0, 4.5], [0.0, 0.0], [0.0, 2.0], [np.nan, 0.0]])
    assert relative_errors(actual, expected).tolist() == [0.1, 0.0, 2.0, np.inf]


def test_cosine_is_the_smallest_over_images_and_nan_is_no_similarity() -> None:
    ones = np.ones((2, 4))
    assert smallest_cosine(ones, ones) == pytest.approx(1.0)
    assert smallest_cosine(np.stack([ones[0], -ones[1]]), ones) == pytest.approx(-1.0)
    assert smallest_cosine(ones * np.nan, ones) == -1.0
    assert smallest_cosine(ones * 0, ones * 0) == 1.0


def test_one_flipped_kink_passes_and_an_error_on_every_image_does_not() -> None:
    generator = np.random.default_rng(0)
    truth = generator.standard_normal((6, 1000))
    own = truth * (1 + 1e-7)
    flipped = truth.copy()
    flipped[0, 0] += 0.05
    assert compare("gradients", flipped, truth, own).passed
    assert not compare("gradients", truth * (1 + 1e-4), truth, own).passed
    assert not compare("gradients", np.roll(truth, 1, axis=1), truth, own).passed


def test_the_figure_is_the_one_that_decided_and_it_keeps_its_bound() -> None:
    generator = np.random.default_rng(0)
    truth = generator.standard_normal((6, 1000))
    own = truth * (1 + 1e-7)
    flipped = truth * (1 + 2e-7)
    flipped[0, 0] += 0.05
    found = compared("gradients", compare("slopes", flipped, truth, own))
    assert (found.status, found.value, found.threshold) == ("pass", 2e-7, 4e-6)
    assert found.largest is not None
    assert found.largest > 1e-3
    plain = compared("gradients", compare("slopes", truth * (1 + 2e-7), truth, own))
    assert (plain.status, plain.value, plain.largest) == ("pass", 2e-7, None)


def test_a_failure_says_which_figure_misses_which_bound() -> None:
    truth = np.random.default_rng(0).standard_normal((6, 1000))
    own = truth * (1 + 1e-7)
    found = compare("slopes", truth * (1 + 1e-4), truth, own)
    assert found.fault() == (
        "error 1.0e-04 (bound 4.0e-06), median 1.0e-04 (bound 4.0e-06), cosine 1.000000"
    )
    assert found.everywhere
    turned = truth.copy()
    turned[0] = np.roll(turned[0], 1)
    assert "(at least 0.9999" in compare("slopes", turned, truth, own).fault()
    assert not compare("slopes", turned, truth, own).everywhere


def test_infinities_in_the_same_places_are_equal() -> None:
    """A model masks classes that it never predicts by -inf."""
    truth = np.array([[1.0, -np.inf, 2.0]])
    assert relative_errors(truth, truth).tolist() == [0.0]
    assert smallest_cosine(truth, truth) == pytest.approx(1.0)
    assert relative_errors(-truth, truth).tolist() == [np.inf]
    assert relative_errors(np.array([[1.0, 0.0, 2.0]]), truth).tolist() == [np.inf]


def test_a_score_is_judged_by_the_output_that_it_is_an_entry_of(tmp_path: Path) -> None:
    model, example = seeded(Flat()), (torch.zeros(1, 3, 8, 8),)
    spec = export(model, tmp_path / "m.onnx", example, verify="off").spec
    reference = Reference(model, spec.layers, torch.float64)
    truth = reference([torch.rand(2, 3, 8, 8)], np.zeros((2, 1), np.int64))
    lucky = replace(truth, outputs=[truth.outputs[0] * (1 + 1e-4)])  # PyTorch's scores are exact
    layer = spec.layers[0]
    results = {
        spec.score.output: truth.outputs[0] * (1 - 1e-4), spec.scores: truth.scores * (1 + 1e-4),
        layer.activations: truth.activations[layer.name],
        layer.gradients: truth.gradients[layer.name], layer.heatmap: truth.heatmaps[layer.name],
    }  # fmt: skip
    assert all(c.passed for c in checks(results, spec, [spec.score.output], truth, lucky))
    results[spec.scores] = truth.scores * (1 + 1e-3)
    assert not all(c.passed for c in checks(results, spec, [spec.score.output], truth, lucky))


def test_what_rounding_leaves_of_a_sum_is_no_direction_to_agree_on() -> None:
    generator = np.random.default_rng(0)
    truth, own, actual = (1e-9 * generator.standard_normal((3, 50)) for _ in range(3))
    assert not compare("heatmap", actual, truth, own).passed
    assert compare("heatmap", actual, truth, own, floor=1e-4).passed
    assert not compare("heatmap", actual + 1e-3, truth, own, floor=1e-4).passed


def test_merging_keeps_every_image() -> None:
    truth = np.eye(4)
    parts = [compare("x", truth[i : i + 2], truth[i : i + 2], truth[i : i + 2]) for i in (0, 2)]
    assert len(merge(parts).errors) == 4


@pytest.mark.parametrize("place", ["last", "bias"])
def test_a_perturbed_weight_in_the_file_fails(tmp_path: Path, place: str) -> None:
    model, path = seeded(Flat()), tmp_path / "m.onnx"
    example = (torch.zeros(1, 3, 8, 8),)
    report = export(model, path, example, layers="body.0")
    assert verify_module(Artifact(path, report.spec), model, example).status == "pass"
    changed = onnx.load(path)
    name = "head.3.weight" if place == "last" else "body.0.bias"
    (tensor,) = (t for t in changed.graph.initializer if t.name == name)
    array = numpy_helper.to_array(tensor).copy()
    array.reshape(-1)[0] += 0.1
    tensor.CopyFrom(numpy_helper.from_array(array, name))
    onnx.save(changed, path)
    verdict = verify_module(Artifact(path, report.spec), model, example)
    with pytest.raises(VerificationError, match="disagrees with PyTorch autograd"):
        verdict.raise_on_failure()


def test_the_verdict_is_stored_with_errors_and_thresholds(tmp_path: Path) -> None:
    report = export(seeded(Tiny()), tmp_path / "m.onnx", (torch.zeros(1, 3, 8, 8),))
    verdict = report.verification
    assert (verdict.verdict, verdict.reference, verdict.images) == ("pass", "autograd-float64", 4)
    assert set(verdict.errors) == {
        report.spec.score.output, "scores", "heatmap", "activations", "gradients"
    }  # fmt: skip
    assert all(0 <= verdict.errors[name] <= verdict.thresholds[name] for name in verdict.errors)


def test_a_closed_artifact_knows_its_inputs_and_outputs(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    spec = export(seeded(Flat()), path, (torch.zeros(1, 3, 8, 8),), verify="off").spec
    artifact = Artifact(path, spec)
    known = artifact.inputs, artifact.outputs, artifact.batch, artifact.batched
    artifact.close()
    artifact.close()
    assert (artifact.inputs, artifact.outputs, artifact.batch, artifact.batched) == known
    assert "session" not in vars(artifact)


@pytest.mark.parametrize("matrix", [QUICK, FULL])
def test_weights_are_in_memory_once_at_a_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, matrix: Matrix
) -> None:
    """Neither a reference beside a session, nor sessions of two levels."""
    model, example = seeded(Flat()), (torch.zeros(1, 3, 8, 8),)
    spec = export(model, tmp_path / "m.onnx", example, verify="off").spec
    artifact, opened, held = Artifact(tmp_path / "m.onnx", spec), WeakSet[object](), list[int]()
    load, compute = load_session, Reference.__call__

    def loaded(*args: Any, **kwargs: Any) -> Any:
        session = load(*args, **kwargs)
        opened.add(session)
        held.append(len(opened))
        return session

    def computed(*args: Any, **kwargs: Any) -> Any:
        assert not opened
        return compute(*args, **kwargs)

    monkeypatch.setattr(runs_artifact, "load_session", loaded)
    monkeypatch.setattr(Reference, "__call__", computed)
    verdict = verify_module(artifact, model, example, matrix=matrix)
    assert not verdict.failures
    again = len(matrix.levels) > 1  # for images of one colour, after the last level
    assert held == [1] * (1 + len(matrix.levels) + again)


def test_a_closed_reference_leaves_no_copy_of_the_module(tmp_path: Path) -> None:
    model, example = seeded(Flat()), (torch.zeros(1, 3, 8, 8),)
    spec = export(model, tmp_path / "m.onnx", example, verify="off").spec
    gc.collect()
    with paused_collector():
        with closing(Reference(model, spec.layers, torch.float64)) as reference:
            reference([torch.rand(2, 3, 8, 8)], np.zeros((2, 1), np.int64))
            left = ref(reference.module)
        del reference
        assert left() is None
