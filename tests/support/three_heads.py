"""A model with three class outputs: a softmax, raw logits, and a single logit."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import nn

from graftcam.exporter import Score, export
from graftcam.exporter.report.report import Report
from graftcam.runtime.spec import Preprocess
from support.onnx_bytes import onnx_model

OUTPUTS = ["gender", "age", "smile"]
LABELS = {"gender": ["female", "male"], "age": ["child", "young", "grown", "old", "ancient"]}
PREPROCESS = Preprocess(
    size=(12, 12), resize=(12, 12), resize_mode="exact", mean=(0, 0, 0), std=(1, 1, 1)
)
TEXT = """<ir_version: 8, opset_import: ["" : 18]>
    heads (float[N, 3, 12, 12] image)
     => (float[N, 2] gender, float[N, 5] age, float[N, 1] smile, float[N, 4, 12, 12] mask)
    {
        sums = Conv <pads = [1, 1, 1, 1]> (image, kernel)
        features = Tanh(sums)
        mean = GlobalAveragePool(features)
        flat = Flatten(mean)
        bent = Tanh(flat)
        gender_logits = Gemm(bent, gender_weights)
        gender = Softmax <axis = 1> (gender_logits)
        age = Gemm(bent, age_weights)
        side_sums = Conv(features, side_kernel)
        side = Tanh(side_sums)
        side_mean = GlobalAveragePool(side)
        side_flat = Flatten(side_mean)
        smile_sums = Mul(side_flat, bent)
        smile = Gemm(smile_sums, smile_weights)
        mask = Sigmoid(sums)
    }"""


def _constants() -> dict[str, NDArray[Any]]:
    draw = np.random.default_rng(5).standard_normal
    shapes = {
        "kernel": (4, 3, 3, 3), "side_kernel": (4, 4, 1, 1),
        "gender_weights": (4, 2), "age_weights": (4, 5), "smile_weights": (4, 1),
    }  # fmt: skip
    return {name: (2 * draw(shape)).astype(np.float32) for name, shape in shapes.items()}


WEIGHTS = _constants()


def write_plain(path: Path) -> Path:
    """Write the plain ONNX model."""
    path.write_bytes(onnx_model(TEXT, WEIGHTS))
    return path


def export_heads(path: Path, **settings: Any) -> Report:
    """Export the ONNX model, by default with all its class outputs and unverified."""
    plain = write_plain(path.with_suffix(".plain.onnx"))
    settings = {"layers": "features", "verify": "off"} | settings
    if not isinstance(settings.get("score"), Score):
        settings = {"output": OUTPUTS} | settings
    return export(plain, path, **settings)


def logits_of(features: NDArray[np.float64]) -> dict[str, NDArray[np.float64]]:
    """The logits of each output for one image's ``features`` [4, 12, 12], both of the single."""
    weights = {name: value.astype(np.float64) for name, value in WEIGHTS.items()}
    bent = np.tanh(features.mean(axis=(1, 2)))
    side = np.tanh(np.einsum("oc,chw->ohw", weights["side_kernel"][:, :, 0, 0], features))
    smile = (side.mean(axis=(1, 2)) * bent) @ weights["smile_weights"]
    return {
        "gender": bent @ weights["gender_weights"],
        "age": bent @ weights["age_weights"],
        "smile": np.concatenate([-smile, smile]),
    }


class ThreeHeads(nn.Module):
    """The same as a module, with other weights."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(3, 4, 3, padding=1)
        self.act = nn.Tanh()
        self.side = nn.Conv2d(4, 4, 1)
        self.gender = nn.Linear(4, 2)
        self.age = nn.Linear(4, 5)
        self.smile = nn.Linear(4, 1)

    def forward(self, image: torch.Tensor) -> dict[str, torch.Tensor]:
        features = self.act(self.conv(image))
        flat = torch.tanh(features.mean((2, 3)))
        side = torch.tanh(self.side(features)).mean((2, 3))
        return {
            "gender": self.gender(flat).softmax(1),
            "age": 3 * self.age(flat),
            "smile": 3 * self.smile(side * flat),
        }
