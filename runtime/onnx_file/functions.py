"""`check_functions` counts the nodes that a model has once its functions are written out.

A function may call others, twice each: twenty of them make a million nodes of a few kilobytes.
Libraries write them out as they open a file.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from graphlib import CycleError, TopologicalSorter
from typing import TypeAlias

from .messages import Message, RefusedError, inside, texts

MOST_NODES = 100_000  # of a model whose functions are written out
_DEEPEST = 30  # graphs inside each other; protobuf's readers take 33
_OPERATOR, _DOMAIN, _OVERLOAD = 4, 7, 8  # of NodeProto
_NAME, _OWN_DOMAIN, _OWN_OVERLOAD = 1, 10, 13  # of FunctionProto

Key: TypeAlias = tuple[str, str, str]
"""Domain, name and overload of a function."""


@dataclass
class _Body:
    """What a graph or function runs.

    Attributes:
        nodes: Number of its nodes, those of its subgraphs included.
        depth: How deep its subgraphs are nested.
        calls: How often it calls which operator, at which depth.
    """

    nodes: int = 0
    depth: int = 0
    calls: Counter[tuple[Key, int]] = field(default_factory=Counter[tuple[Key, int]])


def check_functions(model: Message) -> None:
    """Check that the functions of a model can be written out.

    Raises:
        RefusedError: One calls itself, or they make too many nodes or too deep a nesting.
    """
    found = list(inside(model))
    functions = [one for one in found if one.kind == "function"]
    if not functions:
        return
    bodies = {_key(one): _body(one) for one in functions}
    if len(bodies) < len(functions):  # readers differ in which one they take
        raise RefusedError("has two functions of one name; export the model again")
    main = [_body(one) for one in found if one.kind == "graph"]
    calls = {
        key: {called for called, _ in body.calls if called in bodies}
        for key, body in bodies.items()
    }
    try:
        order = [*TopologicalSorter(calls).static_order()]
    except CycleError as error:
        names = " -> ".join(name for _, name, _ in error.args[1])
        raise RefusedError(
            f"has functions that call themselves: {names[:120]!r}; export the model again"
        ) from None
    # Libraries write out those that nothing calls, too.
    for body in [*(bodies[key] for key in order), *main]:
        _write_out(body, bodies)
        if body.nodes > MOST_NODES or body.depth > _DEEPEST:
            raise RefusedError(
                f"has functions that make {body.nodes} nodes in {body.depth} graphs inside each "
                f"other, more than {MOST_NODES} in {_DEEPEST}; export it without functions"
            )


def _write_out(body: _Body, bodies: dict[Key, _Body]) -> None:
    """Add to a body what its calls stand for; those of the bodies it calls are added already."""
    for (key, depth), times in body.calls.items():
        if key in bodies:
            body.nodes += times * bodies[key].nodes
            body.depth = max(body.depth, depth + bodies[key].depth)


def _key(function: Message) -> Key:
    name, domain, overload = (
        "".join(texts(function.data, number)[-1:]) for number in (_NAME, _OWN_DOMAIN, _OWN_OVERLOAD)
    )
    return "" if domain == "ai.onnx" else domain, name, overload


def _body(graph: Message) -> _Body:
    body, pending = _Body(), [(graph, 0)]
    while pending:
        message, depth = pending.pop()
        if message.kind == "node":
            body.nodes += 1
            body.calls[_called(message), depth] += 1
        elif message.kind == "graph" and message is not graph:
            depth += 1
            body.depth = max(body.depth, depth)
        pending += [(one, depth) for one in inside(message) if one.kind != "tensor"]
    return body


def _called(node: Message) -> Key:
    operator, domain, overload = (
        "".join(texts(node.data, number)[-1:]) for number in (_OPERATOR, _DOMAIN, _OVERLOAD)
    )
    return "" if domain == "ai.onnx" else domain, operator, overload
