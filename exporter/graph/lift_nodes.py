"""`lift_nodes` takes nodes out of a subgraph; `UniqueNames` names them, and what a pass adds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import onnx_ir as ir

from .queries import subgraphs


class UniqueNames:
    """The names of the nodes and values of a graph and its subgraphs.

    Args:
        graph: The graph.
        apart: A node whose subgraphs do not count: what is inside is about to leave it.
    """

    def __init__(self, graph: ir.Graph, apart: ir.Node | None = None) -> None:
        self._taken = set(_names(graph, apart))

    def of(self, name: str | None, prefix: str | None, *, always: bool = False) -> str:
        """Return ``name``, with a prefix (and a number) if the graph has it already.

        Args:
            name: The name so far.
            prefix: What the name belongs to.
            always: With the prefix in any case.
        """
        plain, number = name or "node", 1
        candidate = f"{prefix}/{plain}" if always else plain
        while candidate in self._taken:
            candidate = f"{prefix}/{plain}" + (f"_{number}" if number > 1 else "")
            number += 1
        self._taken.add(candidate)
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


def _names(graph: ir.Graph, apart: ir.Node | None) -> Iterator[str]:
    for value in [*graph.inputs, *graph.initializers.values()]:
        yield value.name or ""
    for node in graph:
        yield node.name or ""
        yield from (value.name or "" for value in node.outputs)
        if node is not apart:
            for inner in subgraphs(node):
                yield from _names(inner, apart)
