"""`lift_nodes` takes nodes out of a subgraph; `UniqueNames` names them, and what a pass adds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from .queries import subgraphs


class UniqueNames:
    """The names of the nodes and values of a graph and its subgraphs.

    Args:
        graph: The graph.
    """

    def __init__(self, graph: ir.Graph) -> None:
        self._taken = Counter(_names(graph))
        self._next: dict[str, int] = {}

    def release(self, node: ir.Node) -> None:
        """Let the names inside a node be taken again: its subgraphs are about to leave it."""
        self._taken.subtract(name for inner in subgraphs(node) for name in _names(inner))

    def of(self, name: str | None, prefix: str | None, *, always: bool = False) -> str:
        """Return ``name``, with a prefix (and a number) if the graph has it already.

        Args:
            name: The name so far.
            prefix: What the name belongs to.
            always: With the prefix in any case.
        """
        plain = name or "node"
        long = f"{prefix}/{plain}"
        candidate = long if always else plain
        if self._taken[candidate] > 0:
            candidate, number = long, self._next.get(long, 1)
            while self._taken[candidate] > 0:
                number += 1
                candidate = f"{long}_{number}"
            self._next[long] = number
        self._taken[candidate] += 1
        return candidate


def lift_nodes(
    inner: ir.Graph, outer: ir.Graph, names: UniqueNames, prefix: str | None
) -> tuple[list[ir.Node], list[ir.Value]]:
    """Empty a subgraph: its weights go to ``outer``, its nodes are to be added there by the caller.

    Args:
        inner: The subgraph.
        outer: The graph around it.
        names: The names in ``outer``.
        prefix: Put before names that ``outer`` has already.

    Returns:
        The nodes, and the values that the subgraph gave.
    """
    results, nodes = list(inner.outputs), list(inner)
    weights = list(inner.initializers.values())
    inner.outputs.clear()
    inner.remove(nodes)
    inner.initializers.clear()
    for node in nodes:
        node.name = names.of(node.name, prefix)
    for value in [*weights, *(value for node in nodes for value in node.outputs)]:
        value.name = names.of(value.name, prefix)
    for value in weights:
        outer.register_initializer(value)
    return nodes, results


def add_ints(
    graph: ir.Graph, numbers: Sequence[int], names: UniqueNames, prefix: str | None
) -> ir.Value:
    """Add a list of numbers, such as axes, as an initializer int64 [count]."""
    return add_constant(graph, np.array(numbers, np.int64), names, prefix)


def add_constant(
    graph: ir.Graph, array: np.ndarray[Any, Any], names: UniqueNames, prefix: str | None
) -> ir.Value:
    """Add an array as an initializer."""
    label = names.of("ints", prefix, always=True)
    tensor = ir.tensor(array, name=label)
    value = ir.Value(
        name=label, type=ir.TensorType(tensor.dtype), shape=ir.Shape(array.shape),
        const_value=tensor,
    )  # fmt: skip
    graph.register_initializer(value)
    return value


def _names(graph: ir.Graph) -> Iterator[str]:
    for value in [*graph.inputs, *graph.initializers.values()]:
        yield value.name or ""
    for node in graph:
        yield node.name or ""
        yield from (value.name or "" for value in node.outputs)
        for inner in subgraphs(node):
            yield from _names(inner)
