"""`unroll` writes out the steps of a Scan or a Loop whose number is known before run time.

Both hide their steps in a subgraph, where no gradient rule reaches them. A few steps beside each
other are ordinary nodes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx_ir as ir

from .attributes import ints_attribute
from .constant_folding import KnownArrays
from .emitter import dims_of
from .lift_nodes import UniqueNames, add_constant, add_ints, lift_nodes

_SINCE = 13  # opset: before 9 a Scan has a batch axis, before 13 Split has another form
_MOST = 2000  # nodes that the steps of one node may have in all
_MOST_IN_ALL = 50_000  # nodes of a graph with the steps of all


def unroll(model: ir.Model) -> bool:
    """Replace each short Scan and Loop of the top graph by its steps.

    Returns:
        Whether there were any.
    """
    graph, found = model.graph, False
    opset = model.opset_imports.get("", 1)
    if opset < _SINCE:
        return False
    known = KnownArrays(opset)
    for node in list(graph):
        if node.domain not in ("", "ai.onnx"):
            continue
        if node.op_type == "Scan":
            steps, write_out = _steps_of_scan(node), _write_out_scan
        elif node.op_type == "Loop":
            steps, write_out = _steps_of_loop(node, known), _write_out_loop
        else:
            continue
        made = (steps or 0) * max(len(node.attributes["body"].as_graph()), 1)
        if steps and made <= _MOST and made + len(graph) <= _MOST_IN_ALL:
            write_out(_Steps(graph, node), steps)
            found = True
    return found


class _Steps:
    """The steps of a node as they are written out.

    Attributes:
        node: The node.
        body: The subgraph of one step.
    """

    def __init__(self, graph: ir.Graph, node: ir.Node) -> None:
        self.node, self.body = node, node.attributes["body"].as_graph()
        self._graph, self._names = graph, UniqueNames(graph)
        self._names.release(node)
        self._made, self._numbers = list[ir.Node](), list[ir.Value]()

    def add(
        self, op_type: str, inputs: Sequence[ir.Value | None], count: int = 1, **attributes: int
    ) -> list[ir.Value]:
        """A node beside the steps; its outputs."""
        name = self._names.of(op_type, self.node.name, always=True)
        self._made.append(ir.node(op_type, inputs, attributes, num_outputs=count, name=name))
        for place, value in enumerate(self._made[-1].outputs):
            value.name = self._names.of(f"{op_type}_{place}", self.node.name, always=True)
        return list(self._made[-1].outputs)

    def ints(self, numbers: Sequence[int]) -> ir.Value:
        """A list of numbers."""
        self._numbers.append(add_ints(self._graph, numbers, self._names, self.node.name))
        return self._numbers[-1]

    def scalar(self, number: bool | int) -> ir.Value:
        """A number of rank 0."""
        array = np.array(number, np.bool_ if isinstance(number, bool) else np.int64)
        self._numbers.append(add_constant(self._graph, array, self._names, self.node.name))
        return self._numbers[-1]

    def run(self, number: int, given: Sequence[ir.Value]) -> list[ir.Value]:
        """One step with these values for the body's inputs; its outputs."""
        self._share_weights()
        copy = self.body.clone(allow_outer_scope_values=True)
        taken = dict(zip(copy.inputs, given, strict=True))
        prefix = f"{self.node.name}/{number}"
        inner, results = lift_nodes(copy, self._graph, self._names, prefix)
        ir.convenience.replace_all_uses_with([*taken], [*taken.values()])
        self._made += inner
        return [taken.get(value, value) for value in results]

    def _share_weights(self) -> None:
        """Move the weights of the body to the graph: they serve all steps."""
        for name, weight in list(self.body.initializers.items()):
            if weight in self.body.outputs:
                continue
            self.body.initializers.pop(name)
            weight.name = self._names.of(name, self.node.name)
            self._graph.register_initializer(weight)

    def replace(
        self, states: Sequence[ir.Value], rows: Sequence[Sequence[ir.Value]],
        axes: Sequence[int], backwards: Sequence[int],
    ) -> None:  # fmt: skip
        """Put the steps in place of the node.

        Args:
            states: The values that the last step hands on.
            rows: The results of all steps, each to be stacked.
            axes: Along which they are stacked.
            backwards: Whether the last step comes first.
        """
        last = [self.add("Identity", [value])[0] for value in states]
        for row, axis, direction in zip(rows, axes, backwards, strict=True):
            along = self.ints([axis])
            parts = [self.add("Unsqueeze", [value, along])[0] for value in row]
            last += self.add("Concat", parts[::-1] if direction else parts, axis=axis)
        graph, node = self._graph, self.node
        ir.convenience.replace_nodes_and_values(graph, node, [node], self._made, node.outputs, last)
        self.body.outputs.clear()
        self.body.remove(list(self.body), safe=True)  # it uses no value of the graph any more
        self._sweep()

    def _sweep(self) -> None:
        """Remove what only said that the steps go on, or which of them it is."""
        for node in reversed(self._made):
            if not any(value.uses() or value.is_graph_output() for value in node.outputs):
                self._graph.remove(node, safe=True)
        for value in self._numbers:
            if not value.uses():
                self._graph.initializers.pop(value.name or "", None)


def _steps_of_scan(node: ir.Node) -> int | None:
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


def _write_out_scan(written: _Steps, steps: int) -> None:
    node, scanned = written.node, _scanned(written.node)
    states = [value for value in node.inputs if value is not None][: -len(scanned)]
    axes = ints_attribute(node, "scan_input_axes") or [0] * len(scanned)
    backwards = ints_attribute(node, "scan_input_directions") or [0] * len(scanned)
    slices, ones = list[list[ir.Value]](), written.ints([1] * steps)
    for value, axis, direction in zip(scanned, axes, backwards, strict=True):
        parts = written.add("Split", [value, ones], count=steps, axis=axis)
        along = written.ints([axis])
        parts = [written.add("Squeeze", [part, along])[0] for part in parts]
        slices.append(parts[::-1] if direction else parts)
    stacked = len(node.outputs) - len(states)
    rows = [list[ir.Value]() for _ in range(stacked)]
    for step in range(steps):
        results = written.run(step, [*states, *(parts[step] for parts in slices)])
        states = results[: len(states)]
        for row, value in zip(rows, results[len(states) :], strict=True):
            row.append(value)
    axes = ints_attribute(node, "scan_output_axes") or [0] * stacked
    backwards = ints_attribute(node, "scan_output_directions") or [0] * stacked
    written.replace(states, rows, axes, backwards)


def _steps_of_loop(node: ir.Node, known: KnownArrays) -> int | None:
    """The number of steps, None if it depends on the data: a Loop may also end by a condition."""
    limit, start = (node.inputs[i] if i < len(node.inputs) else None for i in (0, 1))
    count = None if limit is None else known.of(limit)
    begins = None if start is None else known.of(start)
    if count is None or (start is not None and (begins is None or not begins.all())):
        return None
    return int(count.item()) if _goes_on(node.attributes["body"].as_graph(), known) else None


def _goes_on(body: ir.Graph, known: KnownArrays) -> bool:
    """Whether the condition after a step is that before it, or always true."""
    after = body.outputs[0]
    while (producer := after.producer()) is not None and producer.op_type == "Identity":
        source = producer.inputs[0]
        assert source is not None
        after = source
    if after is body.inputs[1]:
        return True
    always = known.of(after)
    return always is not None and bool(always.all())


def _write_out_loop(written: _Steps, steps: int) -> None:
    node = written.node
    states = [value for value in node.inputs[2:] if value is not None]
    stacked = len(node.outputs) - len(states)
    rows, true = [list[ir.Value]() for _ in range(stacked)], written.scalar(True)
    for step in range(steps):
        _, *results = written.run(step, [written.scalar(step), true, *states])
        states = results[: len(states)]
        for row, value in zip(rows, results[len(states) :], strict=True):
            row.append(value)
    written.replace(states, rows, [0] * stacked, [0] * stacked)
