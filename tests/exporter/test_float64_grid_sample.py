"""GridSample is evaluated in float64 whatever its opset calls its modes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch

from graftcam.exporter.verify.float64.head import Float64Head
from support.onnx_text import parsed


@pytest.mark.parametrize(("opset", "mode"), [(16, "bilinear"), (18, "bilinear"), (20, "linear")])
def test_grid_sample_in_float64(opset: int, mode: str, tmp_path: Path) -> None:
    text = f"""<ir_version: 9, opset_import: ["" : {opset}]>
    g (float[1, 2, 4, 5] image, float[1, 3, 3, 2] places) => (float[1, 2, 3, 3] y) {{
        x = Tanh(image)
        y = GridSample <mode = "{mode}", padding_mode = "zeros"> (x, places)
    }}"""
    draw = np.random.default_rng(0)
    feeds = {
        "image": draw.standard_normal((1, 2, 4, 5)).astype(np.float32),
        "places": draw.uniform(-1.2, 1.2, (1, 3, 3, 2)).astype(np.float32),
    }
    head = Float64Head(ir.from_proto(parsed(text, {})), "x", "y", feeds, tmp_path)
    value = draw.standard_normal((1, 2, 4, 5))
    expected = torch.nn.functional.grid_sample(
        torch.tensor(value), torch.tensor(feeds["places"].astype(np.float64)), align_corners=False
    )
    np.testing.assert_allclose(head(value), expected.numpy(), rtol=1e-12, atol=1e-14)
    assert head.in_python == set()
