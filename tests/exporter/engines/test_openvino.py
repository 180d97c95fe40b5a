"""Artifacts in OpenVINO: right by its profile, refused without it, and wrong in one known case."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import onnx
import pytest
import torch
import torchvision
from torch import nn

from graftcam.exporter import VerificationError, export
from graftcam.exporter.graph import profiles
from graftcam.exporter.release import verify_artifact
from graftcam.runtime import Explainer
from graftcam.runtime.errors import RunError, SessionError
from graftcam.runtime.session.session import Session
from support.cli import fail, succeed
from support.nets import seeded
from support.small_detector import write_model
from support.small_vit import SmallVit

pytest.importorskip("openvino")


class Strided(nn.Module):
    """A residual block whose first convolution has a stride, and as many channels in as out."""

    def __init__(self, width: int = 8) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, width, 3, padding=1)
        self.down = nn.Conv2d(width, width, 3, stride=2, padding=1)
        self.side = nn.Conv2d(width, width, 1, stride=2)
        self.up = nn.Conv2d(width, width, 3, padding=1)
        self.head = nn.Linear(width, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.stem(x).relu()
        x = (self.up(self.down(x).relu()) + self.side(x)).relu()
        return self.head(x.mean((2, 3)))


class Standardised(nn.Conv2d):
    """A convolution whose weight is computed from its parameter, as in networks without norms."""

    def forward(self, input: torch.Tensor) -> torch.Tensor:
        centred = self.weight - self.weight.mean((1, 2, 3), keepdim=True)
        weight = centred / centred.std((1, 2, 3), keepdim=True)
        return nn.functional.conv2d(
            input, weight, self.bias, self.stride, self.padding, groups=self.groups
        )


def standardised() -> nn.Module:
    model = Strided(64)  # a weight so large that no exporter computes it
    model.down = Standardised(64, 64, 3, stride=2, padding=1)
    return seeded(model)


def swin() -> nn.Module:
    model = torchvision.models.SwinTransformer([4, 4], 16, [2, 2], [2, 4], [2, 2], num_classes=5)
    return seeded(model)


MODULES: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...], str]] = {
    "strided": (lambda: seeded(Strided()), (3, 16, 24), "stem"),
    "standardised": (standardised, (3, 16, 24), "stem"),
    "vit": (lambda: seeded(SmallVit()), (3, 24, 32), "blocks.0"),
    "swin": (swin, (3, 32, 32), "features.1"),
}


@pytest.mark.parametrize("name", MODULES)
def test_an_artifact_is_right_by_the_profile_and_refused_without_it(
    tmp_path: Path, name: str
) -> None:
    make, shape, layer = MODULES[name]
    module, example = make(), (torch.zeros(1, *shape),)
    report = export(module, tmp_path / "a.onnx", example, layers=layer, engine="openvino")
    assert report.spec.profile == "openvino"
    assert (report.spec.verification.engine or "").startswith("openvino 20")
    assert any("square weights are read in both directions" in note for note in report.notes)
    _, verdict = verify_artifact(report.path, engine="openvino")
    assert verdict.status == "pass", verdict.failures
    assert {one.level for one in verdict.findings if one.value and one.level} == {"openvino"}
    x = np.random.default_rng(0).standard_normal((2, *shape), np.float32)
    usual = Session(report.path, "cpu")
    feeds = {usual.model_inputs[0].name: x, "class_index": np.array([[1, -1], [4, -2]])}
    want = usual.run(feeds)
    found = Session(report.path, engine="openvino").run(feeds)
    for key, value in want.items():
        np.testing.assert_allclose(found[key], value, atol=2e-5 * (1e-3 + np.abs(value).max()))

    plain = export(module, tmp_path / "b.onnx", example, layers=layer, verify="off")
    with pytest.raises(SessionError, match=r"has profile default, .* --profile openvino"):
        Explainer(plain.path, engine="openvino")
    _, verdict = verify_artifact(plain.path, engine="openvino")
    (failure,) = verdict.failures
    assert failure.check == "runs"
    assert "export it with --profile openvino" in failure.reason


def test_a_detector_is_right_by_the_profile(tmp_path: Path) -> None:
    report = export(write_model(tmp_path / "plain.onnx"), tmp_path / "a.onnx", engine="openvino")
    assert report.spec.detector is not None
    _, verdict = verify_artifact(report.path, engine="openvino")
    assert verdict.status == "pass", verdict.failures


@pytest.mark.parametrize("name", ["strided", "standardised", "vit"])
def test_the_gate_sees_that_openvino_confuses_a_shared_weight(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """Without the copies of the profile the gradient is wrong, and the engine is named."""
    shared = profiles.Profile("openvino", optional_inputs=False, branches=False)
    monkeypatch.setitem(profiles.PROFILES, "openvino", shared)
    make, shape, layer = MODULES[name]
    with pytest.raises(VerificationError, match="openvino is wrong here, ONNX Runtime's CPU is"):
        export(make(), tmp_path / "a.onnx", (torch.zeros(1, *shape),), layers=layer,
               engine="openvino")  # fmt: skip
    assert not (tmp_path / "a.onnx").exists()


def test_explanations_are_the_same(tmp_path: Path) -> None:
    path, image = tmp_path / "a.onnx", np.zeros((40, 50, 3), np.uint8)
    image[10:20, 20:40] = 255
    export(seeded(Strided()), path, (torch.zeros(1, 3, 16, 24),), layers="up", verify="off",
           preprocess="imagenet,squash", profile="openvino")  # fmt: skip
    cpu, other = Explainer(path, "cpu"), Explainer(path, engine="openvino", threads=1)
    assert other.provider == "openvino"
    for method in ("gradcam", "layercam", "scorecam"):
        one, two = cpu.explain(image, method=method), other.explain(image, method=method)
        np.testing.assert_allclose(two.maps, one.maps, atol=1e-5)
    cv2.imwrite(str(tmp_path / "photo.png"), image)
    shown = tmp_path / "out.png"
    said = succeed("explain", path, tmp_path / "photo.png", "-o", shown, "--provider", "openvino")
    assert "ran on openvino" in said.stderr
    assert shown.exists()
    assert "openvino optimises by itself" in fail(
        "optimize", path, "-o", tmp_path / "x.onnx", "--provider", "openvino"
    )


def test_a_file_that_openvino_cannot_read_is_refused_in_its_own_words(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["": 18, "odd": 1]>
        g (float[N, 3] x) => (float[N, 3] y) { y = odd.Made <a = 1> (x) }"""
    path = tmp_path / "odd.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    with pytest.raises(SessionError, match=r"odd.onnx: OpenVINO cannot load it: .*Made") as caught:
        Session(path, engine="openvino")
    assert "\n" not in str(caught.value)


def test_an_image_of_another_size_is_refused_before_openvino_sees_it(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    export(seeded(Strided()), path, (torch.zeros(1, 3, 16, 24),), layers="up", verify="off",
           profile="openvino")  # fmt: skip
    feeds: dict[str, Any] = {"class_index": np.array([[0]])}
    with pytest.raises(Exception, match="shape") as caught:
        Session(path, engine="openvino").run({"x": np.zeros((1, 3, 9, 9), np.float32), **feeds})
    assert not isinstance(caught.value, RunError)
