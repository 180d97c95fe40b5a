"""`place_nodes` says of each node of a profile which part of the explained run it belongs to."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Literal

from ....spec import Spec
from ..profile import ADDED, MOVES, Profile
from .saved_graph import SavedGraph, SavedNode

Part = Literal["above", "rest", "added"]
"""The forward from the target layers to the score, the rest of the forward, or added nodes."""
PARTS: tuple[Part, ...] = ("above", "rest", "added")


def place_nodes(
    profile: Profile, spec: Spec, graph: SavedGraph | None
) -> tuple[list[Part], list[SavedNode | None], list[str]]:
    """Find the nodes of a profile in the graph; both list them in the order in which they run.

    Returns:
        For each node of the profile its part and the node of the graph, and notes of what is
        unknown.
    """
    order = sorted(
        (node for node in profile.nodes if not node.held and node.place is not None),
        key=lambda node: node.place or 0,
    )
    if graph is None or [n.operator for n in order] != [n.operator for n in graph.nodes]:
        reason = "was not saved" if graph is None else "has other nodes than the profile"
        note = (
            f"the graph that ONNX Runtime optimised {reason}: the forward is not divided at the "
            "layer, and products with packed weights may be missing"
        )
        named: list[Part] = [
            "added" if node.name.startswith(ADDED) else "rest" for node in profile.nodes
        ]
        return named, [None] * len(named), [note]
    by_place = parts_of(graph, spec)
    held = [{(n.operator, n.name): n for n in _inner(node)} for node in graph.nodes]
    parts: list[Part] = []
    saved: list[SavedNode | None] = []
    for node in profile.nodes:
        place = node.place
        if place is None:  # of a branch that the last run did not take
            parts.append("added" if node.name.startswith(ADDED) else "rest")
            saved.append(None)
            continue
        parts.append(by_place[place])
        found = held[place].get((node.operator, node.name)) if node.held else graph.nodes[place]
        saved.append(found)
    return parts, saved, []


def _inner(node: SavedNode) -> Iterable[SavedNode]:
    for one in node.inner:
        yield one
        yield from _inner(one)


def parts_of(graph: SavedGraph, spec: Spec) -> list[Part]:
    """Return the part of each node, in the graph's order.

    ONNX Runtime's copies between layouts, and fused nodes without a name, are added if they read
    an added value or if only added nodes read them.

    Args:
        graph: The optimised graph of the artifact.
        spec: The artifact's metadata.
    """
    nodes = graph.nodes
    makers = {name: place for place, node in enumerate(nodes) for name in node.outputs}
    layers = _layers(graph, spec, makers)
    # A layer's value may be an input of the graph, which no node makes.
    above = _downward(nodes, layers, [layer.value for layer in spec.layers])
    added = _added(graph, above)
    ends = [makers[name] for name in _scores(spec) if name in makers]
    towards = _upward(nodes, makers, ends) if ends else range(len(nodes))
    return [
        "added" if place in added
        else "above" if place in above and place in towards
        else "rest"
        for place in range(len(nodes))
    ]  # fmt: skip


def _layers(graph: SavedGraph, spec: Spec, makers: dict[str, int]) -> set[int]:
    """Return the nodes that make the target layers' values, in any memory layout."""
    found: set[int] = set()
    for layer in spec.layers:
        name = layer.value if layer.value in makers else layer.activations
        while name in makers:
            place = makers[name]
            node = graph.nodes[place]
            if not _is_added(node):
                found.add(place)
                if node.operator not in MOVES:
                    break
            name = node.inputs[0] if node.inputs else ""
    return found


def _scores(spec: Spec) -> list[str]:
    """Return the values that the score is read from."""
    scores = [one.score for one in spec.by_output()]
    entries = [] if spec.detector is None else [one.output for one in spec.detector.entries]
    return [*(name for score in scores for name in (score.value, score.output)), *entries]


def _added(graph: SavedGraph, above: Collection[int]) -> set[int]:
    """Return the nodes of the explanation."""
    nodes = graph.nodes
    found = {place for place, node in enumerate(nodes) if _is_added(node)}
    # The model reads an added value only where an export prepends the preprocessing.
    values = {name for place in found & set(above) for name in nodes[place].outputs}
    for place, node in enumerate(nodes):
        if node.reads & values:
            found.add(place)
            values.update(node.outputs)
    readers: dict[str, set[int]] = {}
    for place, node in enumerate(nodes):
        for name in node.reads:
            readers.setdefault(name, set()).add(place)
    for place, node in reversed([*enumerate(nodes)]):
        own = node.name and node.operator not in MOVES
        read_by = set[int]().union(*(readers.get(name, ()) for name in node.outputs))
        if not own and read_by and read_by <= found and not {*node.outputs} & {*graph.outputs}:
            found.add(place)
    return found


def _is_added(node: SavedNode) -> bool:
    return node.name.startswith(ADDED)


def _downward(nodes: list[SavedNode], starts: Collection[int], names: Iterable[str]) -> set[int]:
    """Return all nodes that depend on the values of ``starts`` or on those in ``names``."""
    found: set[int] = set()
    values = {*names, *(name for place in starts for name in nodes[place].outputs)}
    for place, node in enumerate(nodes):
        if node.reads & values:
            found.add(place)
            values.update(node.outputs)
    return found


def _upward(nodes: list[SavedNode], makers: dict[str, int], ends: Iterable[int]) -> set[int]:
    """Return ``ends`` and all nodes that they depend on."""
    found: set[int] = set()
    waiting = list(ends)
    while waiting:
        place = waiting.pop()
        if place not in found:
            found.add(place)
            waiting += [makers[name] for name in nodes[place].reads if name in makers]
    return found
