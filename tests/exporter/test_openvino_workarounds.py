"""Square weights are not read in both directions where OpenVINO would confuse them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from graftcam.exporter import export
from graftcam.exporter.graph.profiles import ProfileName

MODEL = """
<ir_version: 8, opset_import: ["": 17]>
net (float[N, 4, 6, 6] x) => (float[N, 3] y) {
    a = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x, first)
    b = Conv <kernel_shape = [3, 3], pads = [1, 1, 1, 1], strides = [2, 2]> (a, strided)
    c = Conv <kernel_shape = [3, 3], group = 2, pads = [1, 1, 1, 1], strides = [2, 2]> (a, grouped)
    d = Concat <axis = 1> (b, c)
    e = GlobalAveragePool (d)
    f = Flatten (e)
    g = MatMul (f, square)
    h = Relu (g)
    y = MatMul (h, last)
}
"""
SHAPES = {
    "first": (4, 4, 3, 3), "strided": (4, 4, 3, 3), "grouped": (4, 2, 3, 3), "square": (8, 8),
    "last": (8, 3),
}  # fmt: skip


@pytest.mark.parametrize(
    ("profile", "shared"), [("default", {"strided", "grouped", "square"}), ("openvino", set[str]())]
)
def test_the_web_profile_reads_square_weights_in_one_direction(
    tmp_path: Path, profile: ProfileName, shared: set[str]
) -> None:
    model, rng = onnx.parser.parse_model(MODEL), np.random.default_rng(0)
    for name, shape in SHAPES.items():
        weight = rng.standard_normal(shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(weight, name))
    onnx.save(model, tmp_path / "plain.onnx")
    path = tmp_path / "artifact.onnx"
    export(tmp_path / "plain.onnx", path, layers="a", profile=profile)
    found: set[str] = set()
    for node in onnx.load(path).graph.node:
        if node.name.startswith("grad/") and node.op_type != "Neg":
            found |= {name for name in node.input if name in ("strided", "grouped", "square")}
    assert found == shared
    assert path.stat().st_size < (tmp_path / "plain.onnx").stat().st_size + 20_000
