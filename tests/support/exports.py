"""Small models that tests export, and how."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from graftcam.exporter import export
from graftcam.exporter.graph.profiles import ProfileName
from support.artifacts import LABELS, WEIGHTS, averaging, preprocess
from support.onnx_bytes import onnx_model

if TYPE_CHECKING:
    from pathlib import Path

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
           verify=False)  # fmt: skip
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
        plain, path, layers="activations", labels=LABELS, preprocess=preprocess(), verify=False,
        profile=profile,
    )  # fmt: skip
    plain.unlink()
    return path
