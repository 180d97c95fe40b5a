"""Extents are those of a run in ONNX Runtime where ONNX's shape inference gives others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
import torch
from torch import nn

from graftcam.exporter import export
from graftcam.exporter.capture.onnx_file import capture_file
from support.sessions import run

# The last window would begin past the input; a product is rounded; dilations do not count.
SHRUNK = {
    "mean of padded windows": "AveragePool<ceil_mode=1, kernel_shape=[2, 2], pads=[1, 1, 1, 1], "
    "strides=[3, 3]>(L)",
    "mean of a row": "AveragePool<ceil_mode=1, kernel_shape=[1, 3], pads=[0, 1, 0, 1], "
    "strides=[2, 2]>(L)",
    "maximum of single cells": "MaxPool<ceil_mode=1, kernel_shape=[1, 1], strides=[2, 2]>(L)",
    "norm of single cells": "LpPool<ceil_mode=1, kernel_shape=[1, 1], strides=[2, 2]>(L)",
    "maximum, dilated": "MaxPool<kernel_shape=[2, 2], dilations=[2, 2], auto_pad='SAME_UPPER'>(L)",
    "mean, dilated": "AveragePool<kernel_shape=[2, 2], dilations=[2, 2], auto_pad='SAME_LOWER'>(L)",
    "mean of cells between gaps": "AveragePool<kernel_shape=[1, 1], strides=[3, 3], "
    "auto_pad='SAME_UPPER', count_include_pad=1>(L)",
    "mean of every second cell": "AveragePool<ceil_mode=1, kernel_shape=[2, 1], strides=[2, 2], "
    "auto_pad='SAME_LOWER'>(L)",
    "mean, one axis rounded up": "AveragePool<ceil_mode=1, kernel_shape=[3, 2], strides=[2, 3], "
    "pads=[1, 0, 1, 1], count_include_pad=1>(L)",
    "maximum, one axis rounded up": "MaxPool<ceil_mode=1, kernel_shape=[2, 2], strides=[3, 3], "
    "dilations=[2, 1], pads=[0, 0, 1, 0]>(L)",
    "mean of a window longer than the input": "AveragePool<kernel_shape=[3, 3], strides=[8, 1], "
    "dilations=[4, 1], count_include_pad=1>(L)",
    "norm of dilated cells between gaps": "LpPool<kernel_shape=[2, 1], strides=[2, 1], "
    "dilations=[2, 2], auto_pad='SAME_UPPER'>(L)",
    "norm of cells between gaps": "LpPool<kernel_shape=[1, 1], strides=[3, 3], "
    "auto_pad='SAME_LOWER'>(L)",
    "mean of cells between gaps, rounded up": "AveragePool<ceil_mode=1, kernel_shape=[1, 1], "
    "strides=[3, 3], auto_pad='SAME_UPPER', count_include_pad=1>(L)",
    "maximum behind gaps, rounded up": "MaxPool<ceil_mode=1, kernel_shape=[1, 2], strides=[3, 4], "
    "dilations=[1, 2], auto_pad='SAME_LOWER'>(L)",
    "mean of dilated cells, the last ones left out": "AveragePool<ceil_mode=1, "
    "kernel_shape=[2, 1], strides=[4, 3], dilations=[2, 1], auto_pad='SAME_UPPER'>(L)",
    "spread, upper": "ConvTranspose<auto_pad='SAME_UPPER', strides=[2, 1], "
    "output_padding=[1, 0], kernel_shape=[2, 1]>(L, v)",
    "spread, lower": "ConvTranspose<auto_pad='SAME_LOWER', strides=[2, 1], "
    "output_padding=[1, 0], kernel_shape=[2, 1]>(L, v)",
    "resized by fractions": "Resize<mode='linear'>(L, , s)",
    "resized from a part": "Resize<mode='linear', "
    "coordinate_transformation_mode='tf_crop_and_resize'>(L, r, s)",
    "resized, corners aligned": "Resize<mode='cubic', "
    "coordinate_transformation_mode='align_corners'>(L, , s)",
}


def _model(body: str, shape: str) -> onnx.ModelProto:
    body = body.replace("'", '"')
    return onnx.parser.parse_model(
        f'<ir_version: 9, opset_import: ["": 19]> g (float[{shape}] x) => (float[N, K] y) '
        "<float[8] r = {0.0, 0.0, 0.1, 0.2, 1.0, 1.0, 0.8, 0.9}, "
        "float[4] s = {1.0, 1.0, 0.6, 1.4}, float[3, 3, 2, 1] v = "
        "{0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8, 0.9, 1.0, -0.1, -0.2, -0.3, -0.4, -0.5, -0.6, "
        "-0.7, -0.8}, float[3, 2] w = {1.0, 2.0, -1.0, 0.5, 0.3, -2.0}> "
        f"{{ L = Tanh(x) t = {body} u = Sin(t) p = GlobalAveragePool(u) f = Flatten(p) "
        "y = MatMul(f, w) }"
    )


@pytest.mark.parametrize("shape", ["N, 3, 4, 6", "2, 3, 6, 5", "N, 3, 7, 6"])
@pytest.mark.parametrize("body", SHRUNK.values(), ids=SHRUNK)
def test_the_extent_of_a_run_is_taken(body: str, shape: str, tmp_path: Path) -> None:
    proto = _model(body, shape)
    onnx.save(proto, tmp_path / "m.onnx")
    x = np.zeros([int(extent) if extent != "N" else 2 for extent in shape.split(", ")], np.float32)
    del proto.graph.output[:]
    proto.graph.output.append(onnx.helper.make_empty_tensor_value_info("t"))
    (right,) = run(proto.SerializeToString(), {"x": x}).values()
    captured = capture_file(tmp_path / "m.onnx", [])
    values = {v.name: v for node in captured.model.graph for v in node.outputs}
    assert list(values["t"].shape or [])[2:] == list(right.shape[2:])
    report = export(tmp_path / "m.onnx", tmp_path / "a.onnx", layers="L")
    assert report.verification.verdict == "pass"
    assert report.verification.errors["gradients"] < 1e-4


class _Pooled(nn.Module):
    """A pool whose last window would begin past the input, between two layers."""

    def __init__(self, pool: nn.Module) -> None:
        super().__init__()
        self.layer, self.pool, self.head = nn.Conv2d(3, 3, 1), pool, nn.Conv2d(3, 2, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.pool(self.layer(x)).sin()).mean((2, 3))


@pytest.mark.parametrize(
    "pool",
    [
        nn.MaxPool2d(1, 2, ceil_mode=True),
        nn.AvgPool2d(2, 3, padding=1, ceil_mode=True),
        nn.Upsample(scale_factor=1.5, mode="bilinear", align_corners=True),
        nn.Upsample(scale_factor=(1.4, 0.6), mode="nearest"),
    ],
    ids=lambda pool: type(pool).__name__,
)
def test_a_modules_pool_has_the_extent_of_a_run(pool: nn.Module, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model, x = _Pooled(pool).eval(), torch.rand(2, 3, 5, 4)
    report = export(model, tmp_path / "a.onnx", (x,), layers="layer")
    assert report.verification.verdict == "pass"
