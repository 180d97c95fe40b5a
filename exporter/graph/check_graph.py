"""`check_graph` checks that the graph of an ONNX file makes sense, in one walk.

Every value is given once, by something that does not wait for it; tensors have the numbers that
their shapes say; loops end. What each operator needs is checked by `check_operators`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field

import onnx

from .check_tensor import BadGraphError, check_tensor, whole_number

_OWN = ("", "ai.onnx")
_SUBGRAPHS = {"If": ("then_branch", "else_branch"), "Loop": ("body",), "Scan": ("body",)}
_MOST_STEPS = 1_000_000  # of a Loop whose number of steps stands in the file


@dataclass
class _Names:
    """The values of one graph.

    Attributes:
        given: Names of those that the graph itself gives.
        counts: Those that are a whole number in the file.
    """

    given: set[str] = field(default_factory=set[str])
    counts: dict[str, int] = field(default_factory=dict[str, int])


def check_graph(model: onnx.ModelProto) -> None:
    """Check the graph and the functions of a model.

    Raises:
        BadGraphError: Something contradicts itself; the message names it.
    """
    _check(model.graph, [])
    for function in model.functions:
        names = _Names({*function.input})
        _check_nodes(function.node, names, [])
        _check_outputs(function.output, [names])
        for attribute in function.attribute_proto:
            for tensor in _tensors(attribute):
                check_tensor(tensor, function.name)


def _check(graph: onnx.GraphProto, outer: Sequence[_Names]) -> set[str]:
    """Check a graph, and return the names that it reads of those around it."""
    names = _Names()
    for one in graph.input:
        if one.name in names.given:
            raise BadGraphError(f"two inputs are called {one.name!r}")
        names.given.add(one.name)
    for tensor in graph.initializer:
        check_tensor(tensor)
        names.given.add(tensor.name)
        count = whole_number(tensor)
        if count is not None:
            names.counts[tensor.name] = count
    for sparse in graph.sparse_initializer:
        check_tensor(sparse.values)
        check_tensor(sparse.indices)
        names.given.add(sparse.values.name)
    read = _check_nodes(graph.node, names, outer)
    _check_outputs((output.name for output in graph.output), [*outer, names])
    return read


def _check_outputs(outputs: Iterable[str], scopes: Sequence[_Names]) -> None:
    for name in outputs:
        if not _is_given(name, scopes):
            raise BadGraphError(f"nothing gives the output {name!r}")


def _check_nodes(
    nodes: Sequence[onnx.NodeProto], names: _Names, outer: Sequence[_Names]
) -> set[str]:
    """Check the nodes of a graph, add what they give, and return the outer names that they read."""
    makers: dict[str, int] = {}
    for number, node in enumerate(nodes):
        for name in filter(None, node.output):
            if name in names.given:
                raise BadGraphError(f"{label(node)} gives {name!r}, which is given already")
            names.given.add(name)
            makers[name] = number
        if node.op_type == "Constant":
            names.counts |= _constant(node)
    outside: set[str] = set()
    readers: list[list[int]] = [[] for _ in nodes]
    waits = [0] * len(nodes)
    for number, node in enumerate(nodes):
        for name in _reads(node, [*outer, names]):
            if name in makers:
                readers[makers[name]].append(number)
                waits[number] += 1
            elif name not in names.given:
                if not _is_given(name, outer):
                    raise BadGraphError(f"{label(node)} reads {name!r}, which nothing gives")
                outside.add(name)
    _check_order(nodes, readers, waits)
    return outside


def _check_order(
    nodes: Sequence[onnx.NodeProto], readers: Sequence[Sequence[int]], waits: list[int]
) -> None:
    """Check that no node waits for itself; ``waits`` counts the nodes that each waits for."""
    ready = [number for number, count in enumerate(waits) if not count]
    done = 0
    while ready:
        done += 1
        for reader in readers[ready.pop()]:
            waits[reader] -= 1
            if not waits[reader]:
                ready.append(reader)
    if done < len(nodes):
        stuck = next(node for node, count in zip(nodes, waits, strict=True) if count)
        raise BadGraphError(f"{label(stuck)} waits for nodes that wait for each other in a circle")


def _reads(node: onnx.NodeProto, scopes: Sequence[_Names]) -> set[str]:
    """Check what a node holds, and return the names that it and its subgraphs read."""
    attributes = {one.name: one for one in node.attribute}
    if len(attributes) < len(node.attribute):
        raise BadGraphError(f"{label(node)} has an attribute twice")
    for name in _SUBGRAPHS.get(node.op_type, ()) if node.domain in _OWN else ():
        if name not in attributes or not attributes[name].HasField("g"):
            raise BadGraphError(f"{label(node)} has no graph {name!r}")
    steps = _steps(node, scopes)
    if steps > _MOST_STEPS:
        raise BadGraphError(f"{label(node)} runs {steps} times, more than {_MOST_STEPS}")
    read = {name for name in node.input if name}
    for attribute in node.attribute:
        for tensor in _tensors(attribute):
            check_tensor(tensor, node.name)
        for graph in subgraphs(attribute):
            read |= _check(graph, scopes)
    return read


def _steps(node: onnx.NodeProto, scopes: Sequence[_Names]) -> int:
    """The steps of a Loop, if their number stands in the file; else 0."""
    if node.op_type != "Loop" or node.domain not in _OWN or not node.input:
        return 0
    own = next((one for one in reversed(scopes) if node.input[0] in one.given), _Names())
    return own.counts.get(node.input[0], 0)


def subgraphs(attribute: onnx.AttributeProto) -> list[onnx.GraphProto]:
    """The graphs in an attribute."""
    return [*([attribute.g] if attribute.HasField("g") else []), *attribute.graphs]


def _tensors(attribute: onnx.AttributeProto) -> Iterator[onnx.TensorProto]:
    if attribute.HasField("t"):
        yield attribute.t
    yield from attribute.tensors
    sparse = [attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []
    for one in [*sparse, *attribute.sparse_tensors]:
        yield from (one.values, one.indices)


def _constant(node: onnx.NodeProto) -> dict[str, int]:
    """The whole number that a Constant node gives, by its name."""
    for attribute in node.attribute:
        count = attribute.i if attribute.name == "value_int" else None
        if attribute.name == "value" and attribute.HasField("t"):
            check_tensor(attribute.t, node.name)
            count = whole_number(attribute.t)
        if count is not None and node.output:
            return {node.output[0]: count}
    return {}


def _is_given(name: str, scopes: Iterable[_Names]) -> bool:
    return any(name in one.given for one in scopes)


def label(node: onnx.NodeProto) -> str:
    """A node's operator and name, or what it gives."""
    return f"{node.op_type} {node.name or ''.join(node.output[:1])!r}"
