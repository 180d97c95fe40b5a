"""Small models that tests export, and how."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch
from onnxruntime import InferenceSession
from torch import nn

from graftcam.demo import data
from graftcam.demo.bundled import WEIGHTS as DIGITS
from graftcam.demo.model import build
from graftcam.demo.run import TRANSFORM, export_digits
from graftcam.exporter import export
from graftcam.exporter.graph.profiles import ProfileName
from graftcam.exporter.verify.checks.torch_reference import Expected, Reference
from graftcam.runtime.spec import Spec
from support.artifacts import LABELS, WEIGHTS, averaging, preprocess
from support.nets import seeded
from support.onnx_bytes import onnx_model
from support.sessions import open_session, results

TWO_LAYERS = """<ir_version: 8, opset_import: ["" : 18]>
    patches (float[N, 3, 32, 32] image) => (float[N, 4] logits)
    {
        fine_sums = Conv <strides = [4, 4]> (image, kernel)
        fine = Relu(fine_sums)
        coarse = AveragePool <kernel_shape = [4, 2], strides = [4, 2]> (fine)
        pooled = GlobalAveragePool(coarse)
        flat = Flatten(pooled)
        logits = Gemm <transB = 1> (flat, weights)
    }"""


def export_two_layers(path: Path) -> Path:
    """Export the model of `support.artifacts.write_two_layers`."""
    plain = path.with_suffix(".plain.onnx")
    constants = {"kernel": averaging(4), "weights": np.asarray(WEIGHTS, np.float32)}
    plain.write_bytes(onnx_model(TWO_LAYERS, constants))
    export(plain, path, layers=["fine", "coarse"], labels=LABELS, preprocess=preprocess(),
           verify="off")  # fmt: skip
    return path


def export_segmenter(
    path: Path,
    *,
    size: tuple[int | str, int | str] = (32, 32),
    batch: int | str = "N",
    profile: ProfileName = "default",
) -> Path:
    """Export the model of `support.artifacts.write_segmenter`."""
    plain = path.with_suffix(".plain.onnx")
    rows, columns = (e // 8 if isinstance(e, int) else e.lower() for e in size)
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    patches (float[{batch}, 3, {size[0]}, {size[1]}] image)
     => (float[{batch}, 4, {rows}, {columns}] logits)
    {{
        averages = Conv <strides = [8, 8]> (image, kernel)
        activations = Relu(averages)
        logits = Conv(activations, weights)
    }}"""
    matrix = np.asarray(WEIGHTS, np.float32)
    constants = {"kernel": averaging(8), "weights": matrix[:, :, None, None]}
    plain.write_bytes(onnx_model(text, constants))
    export(
        plain, path, layers="activations", labels=LABELS, preprocess=preprocess(), verify="off",
        profile=profile,
    )  # fmt: skip
    plain.unlink()
    return path


_FOLDER = TemporaryDirectory(prefix="graftcam-tests-")


@cache
def exported_digits() -> Path:
    """Return the demo's artifact, exported once a process; tests must not change the file."""
    path = Path(_FOLDER.name) / "digits.onnx"
    export_digits(path)
    return path


def export_demo(path: Path, *, trained: bool = True, **options: Any) -> Path:
    """Export the demo's model unverified, with its labels and transform by default."""
    torch.manual_seed(0)
    model = build()
    if trained:
        model.load_state_dict(torch.load(DIGITS, weights_only=True))
    settings = {"labels": data.LABELS, "preprocess": TRANSFORM, "verify": "off", **options}
    export(model, path, (torch.zeros(1, 3, data.SIZE, data.SIZE),), **settings)
    return path


@dataclass(frozen=True)
class Made:
    """An artifact under test, with its model and metadata."""

    model: nn.Module
    path: Path
    spec: Spec

    @cached_property
    def reference(self) -> Reference:
        return Reference(self.model, self.spec.layers)

    @cached_property
    def session(self) -> InferenceSession:
        return open_session(self.path)

    def run(self, feeds: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        return results(self.session, feeds)

    def check(
        self, found: dict[str, np.ndarray], x: np.ndarray, region: Any = None, **tolerance: float
    ) -> Expected:
        """Compare scores and all layers' tensors with autograd in float64, which is returned."""
        truth = self.reference([torch.from_numpy(x)], found["classes"], region)
        np.testing.assert_allclose(found["scores"], truth.scores, **tolerance)
        for layer in self.spec.layers:
            for name, expected in (
                (layer.activations, truth.activations[layer.name]),
                (layer.gradients, truth.gradients[layer.name]),
                (layer.heatmap, truth.heatmaps[layer.name]),
            ):
                assert found[name].shape == expected.shape, name
                np.testing.assert_allclose(found[name], expected, **tolerance, err_msg=name)
        return truth


def make(model: nn.Module, path: Path, size: tuple[int, int] = (8, 8), **options: Any) -> Made:
    """Export a model of images with random parameters, unverified by default."""
    example = torch.zeros(1, 3, *size, dtype=next(model.parameters()).dtype)
    report = export(seeded(model), path, (example,), **{"verify": "off"} | options)
    return Made(model, path, report.spec)


def to_onnx(model: nn.Module, path: Path, size: tuple[int, int] = (8, 8), **more: Any) -> Path:
    """Write a model of images as an ONNX file with an open batch, as PyTorch alone does."""
    options = {
        "dynamic_shapes": ({0: torch.export.Dim("batch")},), "external_data": False, **more,
    }  # fmt: skip
    example = (torch.zeros(2, 3, *size, dtype=next(model.parameters()).dtype),)
    torch.onnx.export(model, example, path, dynamo=True, verbose=False, **options)
    return path
