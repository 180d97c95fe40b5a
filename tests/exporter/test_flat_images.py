"""Verification meets images of one colour, single images, and models that change their input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from graftcam.exporter import VerificationError, export
from graftcam.exporter.differentiate import registry
from graftcam.exporter.verify.checks import autograd
from graftcam.exporter.verify.runs.artifact import Artifact
from graftcam.exporter.verify.runs.flat_images import flat_images
from graftcam.exporter.verify.runs.inputs import random_inputs
from graftcam.runtime.spec import Preprocess


class _Pooled(nn.Module):
    """A function of a map that is 0 everywhere on a grey image."""

    def __init__(self, pool: Callable[[torch.Tensor], torch.Tensor]) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, bias=False)
        self.relu = nn.ReLU()
        self.pool = pool
        self.head = nn.Linear(8, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.relu(self.conv(x))
        return self.head(torch.cat([y.mean((2, 3)), self.pool(y)], 1))


def _export(model: nn.Module, folder: Path, layer: str = "relu", **given: Any) -> Any:
    return export(model.eval(), folder / "a.onnx", (torch.rand(1, 3, 8, 8),), layers=layer, **given)


def _wrong(monkeypatch: pytest.MonkeyPatch, op_type: str, rule: Callable[..., Any]) -> None:
    entry = registry.table()[op_type]
    monkeypatch.setitem(registry._TABLE, op_type, replace(entry, rule=rule))  # pyright: ignore


def test_the_images_are_what_the_preprocessing_makes_of_black_and_white(tmp_path: Path) -> None:
    torch.manual_seed(0)
    transform = Preprocess(size=(8, 8), mean=(0.5, 0.25, 0.0), std=(0.5, 0.25, 1.0))
    model = _Pooled(lambda y: y.amax((2, 3)))
    report = _export(model, tmp_path, verify="off", preprocess=transform)
    artifact = Artifact(tmp_path / "a.onnx", report.spec)
    (feeds,) = flat_images(artifact, random_inputs(artifact, (torch.rand(1, 3, 8, 8),)))
    half, black, white, grey = next(iter(feeds.values()))
    assert black[:, 3, 3].tolist() == [-1, -1, 0]
    assert white[:, 3, 3].tolist() == [1, 3, 1]
    np.testing.assert_allclose(grey, (black + white) / 2)
    np.testing.assert_array_equal(half[:, :4], black[:, :4])
    np.testing.assert_array_equal(half[:, 4:], white[:, 4:])


def test_a_batch_that_is_fixed_gets_the_images_in_its_parts(tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = _Pooled(lambda y: y.amax((2, 3)))
    report = _export(model, tmp_path, verify="off", dynamic_batch=False)
    artifact = Artifact(tmp_path / "a.onnx", report.spec)
    parts = flat_images(artifact, random_inputs(artifact, (torch.rand(1, 3, 8, 8),)))
    assert [len(next(iter(feeds.values()))) for feeds in parts] == [1, 1, 1, 1]


def test_a_deviation_of_dead_channels_passes(tmp_path: Path) -> None:
    torch.manual_seed(0)
    report = _export(_Pooled(lambda y: y.std((2, 3))), tmp_path)
    assert report.verification.verdict == "pass"


def test_a_gradient_that_is_not_finite_where_pytorchs_is_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Random images never show it."""

    def endless(emit: Any, node: Any, g: Any, needed: Any) -> Any:
        y = emit.op("Unsqueeze", node.outputs[0], [2, 3])
        return [one / y * y for one in rule(emit, node, g, needed)]

    rule: Any = registry.table()["ReduceL2"].rule
    _wrong(monkeypatch, "ReduceL2", endless)
    torch.manual_seed(0)
    norm = _Pooled(lambda y: torch.linalg.vector_norm(y, 2, (2, 3)))
    with pytest.raises(VerificationError, match=r"of one colour.* the gradient is not fin"):
        _export(norm, tmp_path)
    assert not list(tmp_path.iterdir())


def test_where_pytorch_itself_gives_none_a_note_says_so(tmp_path: Path) -> None:
    torch.manual_seed(0)
    report = _export(_Pooled(lambda y: y.var((2, 3)).sqrt()), tmp_path)
    assert report.verification.verdict == "pass"
    assert any("PyTorch's own gradient is not finite" in n for n in report.notes)


def test_a_gradient_that_differences_refute_fails(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A Tanh whose slope at 0 is wrong, and right everywhere else."""
    tanh: Any = registry.table()["Tanh"].rule

    def wrong(emit: Any, node: Any, g: Any, needed: Any) -> Any:
        y = node.outputs[0]
        at_zero = emit.cast(emit.op("Equal", y, 0.0), y.dtype)
        (found,) = tanh(emit, node, g, needed)
        return [found * emit.op("Add", at_zero, 1.0)]

    _wrong(monkeypatch, "Tanh", wrong)
    torch.manual_seed(0)
    model = _Pooled(lambda y: torch.tanh(y).mean((2, 3)))
    model.relu = nn.Identity()  # pyright: ignore
    with pytest.raises(VerificationError, match=r"one colour.* differences agree with PyTorch"):
        _export(model, tmp_path)


def test_a_model_that_fails_on_these_images_is_no_wrong_artifact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*given: Any) -> Any:
        raise RuntimeError("an image needs contrast")

    monkeypatch.setattr(autograd, "compare_flat", failing)
    torch.manual_seed(0)
    report = _export(_Pooled(lambda y: y.amax((2, 3))), tmp_path)
    assert report.verification.verdict == "pass"
    assert any("fails on images of one colour: an image needs" in note for note in report.notes)


def test_one_image_alone_is_among_the_batches(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes = list[int]()
    first_run = autograd.first_run

    def counted(artifact: Any, feeds: Any, matrix: Any, seed: int) -> Any:
        sizes.append(len(next(iter(feeds.values()))))
        return first_run(artifact, feeds, matrix, seed)

    monkeypatch.setattr(autograd, "first_run", counted)
    torch.manual_seed(0)
    _export(_Pooled(lambda y: y.amax((2, 3))), tmp_path)
    assert sizes == [1, 3, 4, 1]  # then images of one colour, and the example


class _InPlace(nn.Module):
    """Normalises its input in place."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Sequential(nn.Conv2d(3, 4, 3), nn.Tanh())
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x.sub_(0.5).div_(0.25)
        return self.head(self.conv(x).mean((2, 3)))


@pytest.mark.parametrize("extras", [(), ("input_gradients",)])
def test_a_model_may_work_in_place_on_its_input(extras: tuple[str, ...], tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, image = _InPlace().eval(), torch.rand(2, 3, 6, 6)
    before = image.clone()
    report = export(model, tmp_path / "a.onnx", (image,), layers="conv", extras=extras)
    assert report.verification.verdict == "pass"
    assert torch.equal(image, before)
