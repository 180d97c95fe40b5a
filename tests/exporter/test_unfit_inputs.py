"""Inputs that do not suit a model, and files that do not run, are named in one line."""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import onnx
import pytest
import torch
from torch import nn

from graftcam.exporter import UnprovenError, VerificationError, export
from graftcam.runtime.spec import Preprocess
from support.cli import call
from support.nets import seeded
from support.onnx_text import parsed

AXES = {
    "axes": np.array([2, 3]),
    "seven": np.array([7, 7, 7]),
    "mask": np.array([0, 0, -np.inf], np.float32),
}
IMAGE = (torch.zeros(1, 3, 8, 8),)


def _file(path: Path, body: str) -> Path:
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    g (float[N, 3, 8, 8] x) => (float[N, 3] y) {{ t = Identity(x) {body} }}"""
    onnx.save(parsed(text, AXES), path)
    return path


class _Log(nn.Module):
    """NaN wherever a pixel is negative, as half of the random ones are."""

    def __init__(self) -> None:
        super().__init__()
        self.act = nn.Identity()

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return torch.log(self.act(x * 1.0) + 0.1).square().mean((2, 3))


REASON = r"'y' is infinite or NaN for 4 of 4 random inputs, in the source as in the artifact"


def test_random_inputs_that_a_file_is_not_for_prove_nothing(tmp_path: Path) -> None:
    plain = _file(tmp_path / "plain.onnx", "l = Log(t) y = ReduceMean<keepdims=0>(l, axes)")
    with pytest.raises(UnprovenError, match=REASON) as caught:
        export(plain, tmp_path / "a.onnx", layers="t")
    assert "\n" not in str(caught.value)
    result = call("export", plain, "--layer", "t", "-o", tmp_path / "a.onnx")
    assert result.exit_code == 3
    assert not (tmp_path / "a.onnx").exists()


def test_images_that_suit_the_model_are_a_proof(tmp_path: Path) -> None:
    (tmp_path / "images").mkdir()
    for number in range(2):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        cv2.imwrite(str(tmp_path / "images" / f"{number}.png"), pixels)
    plain = Preprocess("", [8, 8], None, "exact", "bilinear", 1 / 255, [0.0] * 3, [1.0] * 3)
    settings = {"layers": "act", "preprocess": plain, "output_names": ["y"]}
    with pytest.raises(UnprovenError, match=REASON):
        export(seeded(_Log()), tmp_path / "a.onnx", IMAGE, **settings)
    report = export(
        seeded(_Log()), tmp_path / "a.onnx", IMAGE, images=tmp_path / "images", **settings
    )
    verdict = report.verdict
    assert verdict is not None
    assert (verdict.status, verdict.reference, verdict.given) == ("pass", "autograd-float64", 2)
    assert verdict.by_check()["gradients"] == "pass"


def test_classes_that_are_always_masked_are_no_fault(tmp_path: Path) -> None:
    body = "e = Exp(t) m = ReduceMean<keepdims=0>(e, axes) y = Add(m, mask)"
    plain = _file(tmp_path / "plain.onnx", body)
    assert export(plain, tmp_path / "a.onnx", layers="t").verification.verdict == "pass"


def test_a_file_that_the_runtime_cannot_run_is_at_fault_itself(tmp_path: Path) -> None:
    plain = _file(tmp_path / "plain.onnx", "r = Gather<axis=1>(t, seven) "
                  "y = ReduceMean<keepdims=0>(r, axes)")  # fmt: skip
    reason = "cannot run plain.onnx itself: .*the file is at fault, not the artifact"
    with pytest.raises(VerificationError, match=reason) as caught:
        export(plain, tmp_path / "a.onnx", layers="t")
    assert "\n" not in str(caught.value)


def test_a_model_that_refuses_one_image_is_proven_on_several(tmp_path: Path) -> None:
    """PyTorch's norms refuse a channel with one number, which one image alone leaves of it."""

    class Single(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.body, self.norm = nn.ReLU(), nn.GroupNorm(4, 4, eps=0.1)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.norm(self.body(x)[..., -1:]).flatten(1)

    report = export(seeded(Single()), tmp_path / "a.onnx", (torch.randn(2, 4, 6),), layers="body")
    assert report.verification.verdict == "pass"
    assert "runs: the model does not run for one image" in "; ".join(report.notes)
