"""`find_layer` finds the value of an ONNX graph that a layer's name means."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ..errors import LayerError, unknown_layer
from ..graph.queries import module_path


def find_layer(graph: ir.Graph, name: str) -> ir.Value:
    """Find a layer by value name, node name, recorded module path or scope of node names.

    A scope such as ``/layer4/layer4.1`` means its last value that is used outside.

    Raises:
        LayerError: Nothing has that name; the nearest names are suggested.
    """
    values = {value.name: value for node in graph for value in node.outputs if value.name}
    nodes = {node.name: node for node in reversed(graph) if node.name}
    if name in values:
        return values[name]
    if name in nodes:
        return nodes[name].outputs[0]
    for inside in (
        [node for node in graph if _inside(module_path(node), name)],
        [node for node in graph if (node.name or "").startswith(f"{name.rstrip('/')}/")],
    ):
        if inside:
            return _leaving(inside)
    paths = [path for node in graph if (path := module_path(node))]
    raise LayerError(unknown_layer(name, [*values, *nodes, *paths]))


def _inside(path: str, scope: str) -> bool:
    return path == scope or path.startswith(scope + ".")


def _leaving(nodes: Sequence[ir.Node]) -> ir.Value:
    """The last value of a module that is used outside of it."""
    own = set(nodes)
    for node in reversed(nodes):
        for value in node.outputs:
            users = [use.node for use in value.uses()]
            if value.is_graph_output() or any(user not in own for user in users):
                return value
    return nodes[-1].outputs[0]
