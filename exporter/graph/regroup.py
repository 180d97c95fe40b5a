"""`regrouped` gives what is joined with the batch an axis of its own."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from .emitter import Dim, dims_of


def regrouped(graph: ir.Graph, value: ir.Value, count: int) -> ir.Value:
    """Insert [N * count, ...] -> [N, count, ...] and back behind a value; nothing is computed.

    Args:
        graph: The graph, which gets two Reshapes.
        value: The value; what reads it goes on with what it had.
        count: Rows of each example along the first axis, example by example.

    Returns:
        The value [N, count, ...].
    """
    rows, *rest = dims_of(value)
    batch = rows // count if isinstance(rows, int) else None
    readers = [(use.node, use.idx) for use in value.uses()]
    base = _unused(graph, f"{value.name}_by_example")
    apart = _reshape(graph, value, [-1, count, *_numbers(value, rest)], [batch, count, *rest], base)
    joined = _reshape(graph, apart.outputs[0], [-1, *_numbers(value, rest)], [rows, *rest],
                      f"{base}_joined")  # fmt: skip
    for node, index in readers:
        node.replace_input_with(index, joined.outputs[0])
    producer = value.producer()
    assert producer is not None
    graph.insert_after(producer, [apart, joined])
    return apart.outputs[0]


def _numbers(value: ir.Value, extents: Sequence[Dim]) -> list[int]:
    """Extents for a Reshape that follows the axes of ``value``."""
    numbers = [extent for extent in extents if isinstance(extent, int)]
    if len(numbers) < len(extents):
        raise ValueError(f"{value.name!r} has open extents {list(extents)}")
    return numbers


def _reshape(
    graph: ir.Graph, value: ir.Value, extents: Sequence[int], shape: Sequence[Dim], name: str
) -> ir.Node:
    wanted = ir.Value(name=f"{name}_shape", const_value=ir.tensor(list(extents)))
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
