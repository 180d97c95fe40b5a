"""A plain ONNX file of two outputs, written without PyTorch."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from support.onnx_bytes import onnx_model


def write_two_outputs(path: Path) -> Path:
    """Write a model of two outputs, whose classes are the channels of its input [N, 3, 8, 8]."""
    text = """<ir_version: 8, opset_import: ["" : 18]>
        two (float[N, 3, 8, 8] x) => (float[N, 3] first, float[N, 3] second)
        {
            layer = Relu(x)
            other = Sigmoid(x)
            first = ReduceMean <keepdims = 0> (layer, axes)
            second = ReduceMean <keepdims = 0> (other, axes)
        }"""
    path.write_bytes(onnx_model(text, {"axes": np.array([2, 3])}))
    return path
