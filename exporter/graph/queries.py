"""These functions find what a value depends on, and which module a node comes from."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator

import onnx_ir as ir


def module_path(node: ir.Node) -> str:
    """Return the module path that PyTorch's exporter recorded, or an empty string."""
    scopes = node.metadata_props.get("pkg.torch.onnx.name_scopes", "")
    names = [name.strip(" '\"") for name in scopes.strip("[]").split(",")]
    return names[-2] if len(names) > 1 else ""


def ancestors(score: ir.Value, until: Collection[ir.Value] = ()) -> set[ir.Value]:
    """Return ``score`` and every value that it depends on, without what only ``until`` do."""
    seen, producers = {score}, set[ir.Node]()
    stack = [score]
    while stack:
        value = stack.pop()
        producer = None if value in until else value.producer()
        if producer is not None and producer not in producers:
            producers.add(producer)
            fresh = [value for value in inputs_of(producer) if value not in seen]
            seen.update(fresh)
            stack.extend(fresh)
    return seen


def subgraphs(node: ir.Node) -> list[ir.Graph]:
    """Return the graphs in a node's attributes: branches and loop bodies."""
    found: list[ir.Graph] = []
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            found.append(attribute.as_graph())
        elif attribute.type == ir.AttributeType.GRAPHS:
            found.extend(attribute.as_graphs())
    return found


def inputs_of(node: ir.Node) -> Iterator[ir.Value]:
    """Yield the inputs of a node, including outer values that its subgraphs read."""
    yield from (value for value in node.inputs if value is not None)
    yield from _captured(subgraphs(node))


def _captured(graphs: Iterable[ir.Graph]) -> Iterator[ir.Value]:
    for graph in graphs:
        own = set(graph.inputs) | {v for inner in graph for v in inner.outputs}
        own |= set(graph.initializers.values())
        for inner in graph:
            yield from (value for value in inputs_of(inner) if value not in own)
        yield from (value for value in graph.outputs if value not in own)
