"""`unroll_scans` writes out the steps of a Scan whose length is known before run time.

A Scan hides its steps in a subgraph, where no gradient rule reaches them. A few steps beside each
other are ordinary nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from .attributes import ints_attribute
from .emitter import dims_of
from .lift_nodes import UniqueNames, add_ints, lift_nodes

_SINCE = 13  # opset: before 9 a Scan has a batch axis, before 13 Split has another form
_MOST = 2000  # nodes that the steps of one Scan may have in all
_MOST_IN_ALL = 50_000  # nodes of a graph with the steps of all Scans


def unroll_scans(model: ir.Model) -> bool:
    """Replace each short Scan of the top graph by its steps; return whether there were any."""
    graph, found = model.graph, False
    if model.opset_imports.get("", 1) < _SINCE:
        return False
    for node in list(graph):
        if node.op_type == "Scan" and node.domain in ("", "ai.onnx"):
            steps = _steps_of(node)
            made = (steps or 0) * len(node.attributes["body"].as_graph())
            if steps and made <= _MOST and made + len(graph) <= _MOST_IN_ALL:
                _unroll(graph, node, steps)
                found = True
    return found


def _steps_of(node: ir.Node) -> int | None:
    """The number of steps, None if it is not known."""
    axes, slices = ints_attribute(node, "scan_input_axes"), _scanned(node)
    for value, axis in zip(slices, axes or [0] * len(slices), strict=True):
        extent = None if value.shape is None else dims_of(value)[axis]
        if isinstance(extent, int):
            return extent
    return None


def _scanned(node: ir.Node) -> list[ir.Value]:
    """The tensors of which each step reads a slice; states come before them."""
    count = node.attributes.get_int("num_scan_inputs", 0)
    return [value for value in node.inputs[len(node.inputs) - count :] if value is not None]


def _unroll(graph: ir.Graph, node: ir.Node, steps: int) -> None:
    body, scanned = node.attributes["body"].as_graph(), _scanned(node)
    states = [value for value in node.inputs if value is not None][: -len(scanned)]
    stacked = len(node.outputs) - len(states)
    names = UniqueNames(graph)
    names.release(node)
    made = list[ir.Node]()

    def add(op_type: str, inputs: Sequence[ir.Value | None], **attributes: int) -> list[ir.Value]:
        count = attributes.pop("count", 1)
        name = names.of(op_type, node.name, always=True)
        made.append(ir.node(op_type, inputs, attributes, num_outputs=count, name=name))
        for place, value in enumerate(made[-1].outputs):
            value.name = names.of(f"{op_type}_{place}", node.name, always=True)
        return list(made[-1].outputs)

    axes = ints_attribute(node, "scan_input_axes") or [0] * len(scanned)
    backwards = ints_attribute(node, "scan_input_directions") or [0] * len(scanned)
    slices, ones = list[list[ir.Value]](), add_ints(graph, [1] * steps, names, node.name)
    for value, axis, direction in zip(scanned, axes, backwards, strict=True):
        parts = add("Split", [value, ones], axis=axis, count=steps)
        along = add_ints(graph, [axis], names, node.name)
        parts = [add("Squeeze", [part, along])[0] for part in parts]
        slices.append(parts[::-1] if direction else parts)

    # The weights of the body serve all steps.
    for name, weight in list(body.initializers.items()):
        if weight in body.outputs:
            continue
        body.initializers.pop(name)
        weight.name = names.of(name, node.name)
        graph.register_initializer(weight)
    rows = [list[ir.Value]() for _ in range(stacked)]
    for step in range(steps):
        copy = body.clone(allow_outer_scope_values=True)
        given = dict(zip(copy.inputs, [*states, *(parts[step] for parts in slices)], strict=True))
        inner, results = lift_nodes(copy, graph, names, f"{node.name}/{step}")
        ir.convenience.replace_all_uses_with([*given], [*given.values()])
        made += inner
        after = [given.get(value, value) for value in results]
        states = after[: len(states)]
        for row, value in zip(rows, after[len(states) :], strict=True):
            row.append(value)

    last = [add("Identity", [value])[0] for value in states]
    axes = ints_attribute(node, "scan_output_axes") or [0] * stacked
    backwards = ints_attribute(node, "scan_output_directions") or [0] * stacked
    for row, axis, direction in zip(rows, axes, backwards, strict=True):
        along = add_ints(graph, [axis], names, node.name)
        parts = [add("Unsqueeze", [value, along])[0] for value in row]
        last += add("Concat", parts[::-1] if direction else parts, axis=axis)
    ir.convenience.replace_nodes_and_values(graph, node, [node], made, node.outputs, last)
    body.outputs.clear()
    body.remove(list(body), safe=True)  # so that it uses no value of the graph any more
