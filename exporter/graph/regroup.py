"""`regrouped` gives what is joined with the batch an axis of its own."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from .emitter import Dim, dims_of


def regrouped(graph: ir.Graph, value: ir.Value, count: int, inner: Sequence[Dim]) -> ir.Value:
    """Insert [N * count, ...] -> [N, count, *inner] and back behind a value; nothing is computed.

    Args:
        graph: The graph, which gets two Reshapes.
        value: The value; what reads it goes on with what it had. All axes but the first are static.
        count: Rows of each example along the first axis, example by example.
        inner: The other axes, with or without those of extent 1.

    Returns:
        The value [N, count, *inner].
    """
    rows, *rest = dims_of(value)
    batch = rows // count if isinstance(rows, int) else None
    readers = [(use.node, use.idx) for use in value.uses()]
    base = _unused(graph, f"{value.name}_by_example")
    apart = reshape_node(graph, value, [batch, count, *inner], base)
    joined = reshape_node(graph, apart.outputs[0], [rows, *rest], f"{base}_joined")
    for node, index in readers:
        node.replace_input_with(index, joined.outputs[0])
    producer = value.producer()
    assert producer is not None
    graph.insert_after(producer, [apart, joined])
    return apart.outputs[0]


def reshape_node(graph: ir.Graph, value: ir.Value, shape: Sequence[Dim], name: str) -> ir.Node:
    """A Reshape of ``value`` that is not in the graph yet; its output has the node's name.

    Args:
        graph: The graph, which gets the extents as an initializer.
        value: The value.
        shape: The result's shape; all axes but the first are static, and that may be open.
        name: The node's name.
    """
    extents = [-1, *(extent for extent in shape[1:] if isinstance(extent, int))]
    wanted = ir.Value(name=f"{name}_shape", const_value=ir.tensor(extents))
    wanted.shape, wanted.type = ir.Shape([len(extents)]), ir.TensorType(ir.DataType.INT64)
    graph.register_initializer(wanted)
    node = ir.node("Reshape", [value, wanted], name=name)
    made = node.outputs[0]
    made.name, made.type, made.shape = name, value.type, ir.Shape(shape)
    return node


def _unused(graph: ir.Graph, base: str) -> str:
    taken = {one.name for node in graph for one in node.outputs}
    name, number = base, 1
    while name in taken:
        name, number = f"{base}_{number}", number + 1
    return name
