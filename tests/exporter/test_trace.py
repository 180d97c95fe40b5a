"""What PyTorch's exporter leaves to be put right."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from graftcam.exporter.capture.torch_export import define_constants


def test_constants_that_nodes_read_are_defined() -> None:
    x = ir.Value(name="x", type=ir.TensorType(ir.DataType.FLOAT), shape=ir.Shape([2]))
    taken = ir.Value(name="low", const_value=ir.tensor(np.float32(7), name="low"))
    low, high = (
        ir.Value(name=name, const_value=ir.tensor(np.float32(number), name=name))
        for name, number in (("low", -1), ("high", 1))
    )
    node = ir.node("Clip", [x, low, high])
    graph = ir.Graph([x], node.outputs, nodes=[node], initializers=[taken], name="g")
    define_constants(graph)
    found = {value.name: value.const_value.numpy().item() for value in node.inputs[1:]}  # pyright: ignore
    assert found == {"low_1": -1.0, "high": 1.0}
    assert set(graph.initializers) == {"low", "low_1", "high"}
    define_constants(graph)
    assert set(graph.initializers) == {"low", "low_1", "high"}
