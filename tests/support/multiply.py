"""A value of an artifact's graph multiplied by a number, as a fault of the exporter would be."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir


def multiply(source: Path, path: Path, name: str, number: float) -> None:
    """Write ``source`` to ``path`` with the value ``name`` times ``number`` in its place."""
    model = ir.load(source)
    graph = model.graph
    value = ir.convenience.create_value_mapping(graph)[name]
    node = value.producer()
    assert node is not None
    value.name = f"{name}_right"
    factor = ir.Value(name="a_number", const_value=ir.tensor(np.float32(number)))
    factor.type, factor.shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([])
    graph.register_initializer(factor)
    wrong = ir.node("Mul", [value, factor], name=f"{name}_wrong")
    for use in [*value.uses()]:
        if use.node is not wrong:
            use.node.replace_input_with(use.idx, wrong.outputs[0])
    if value.is_graph_output():
        graph.outputs[graph.outputs.index(value)] = wrong.outputs[0]
    wrong.outputs[0].name, wrong.outputs[0].type = name, value.type
    wrong.outputs[0].shape = value.shape
    graph.insert_after(node, wrong)
    ir.save(model, path)
