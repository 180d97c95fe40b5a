"""Layers that see every instance of a bag, or frame of a clip, as an image of its own.

A model of bags [N, T, C, H, W] often flattens the bag into the batch and runs a network for images.
Its layers give [N * T, C, h, w]. Where the graph shows that this first axis is N times T, bag by
bag and in the input's order, such a layer is laid out as [N, C, T, h, w]: a map for each instance.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx_ir as ir

from ..graph.emitter import Dim, constant_of, dims_of
from ..graph.regroup import reshape_node

_AXES = 4  # of a layer that sees images: [N * T, C, h, w]
# Operators that keep what stands where, if all but one of their inputs are constant.
_BY_ELEMENT = frozenset({"Add", "Sub", "Mul", "Div", "Cast", "Identity", "Clip", "Neg"})
# Operators that may mix images along the first axis, or put them in another order.
_MIXING = frozenset(
    {"Transpose", "Gather", "GatherND", "GatherElements", "Slice", "Concat", "Split", "Einsum"}
    | {"ScatterND", "ScatterElements", "ReverseSequence", "TopK", "Where", "Expand", "Tile"}
)
_REACH = 2000  # nodes that are read before a layer


@dataclass(frozen=True)
class Bags:
    """The two extents that a first axis is the product of.

    Attributes:
        batch: Number of bags.
        instances: Number of instances in each.
    """

    batch: Dim
    instances: int


def bags_of(value: ir.Value) -> Bags | None:
    """The bags whose instances ``value`` has in its first axis.

    None where it has none, where their number is open, or where the graph does not show their
    order: the input is flattened by a Reshape, before which there is nothing but arithmetic with
    constants and a Transpose that leaves the batch first.
    """
    if value.shape is None or len(value.shape) != _AXES:
        return None
    if not all(isinstance(extent, int) for extent in dims_of(value)[1:]):
        return None
    for flattened in _flattenings(value):
        before = flattened.inputs[0]
        assert before is not None
        count = dims_of(before)[1]
        if isinstance(count, int) and _keeps_input(before):
            return Bags(dims_of(before)[0], count)
    return None


def lay_out_instances(graph: ir.Graph, targets: dict[str, ir.Value]) -> set[str]:
    """Replace targets that have instances in their first axis by [N, C, instances, h, w].

    Behind it, the graph goes on with what it had: data are moved, nothing is computed.

    Args:
        graph: The graph, which gets new nodes.
        targets: Values of the target layers by name; some are replaced.

    Returns:
        The names of those.
    """
    found = {name: bags_of(value) for name, value in targets.items()}
    laid: dict[ir.Value, ir.Value] = {}
    for name, bags in found.items():
        value = targets[name]
        if bags is None:
            continue
        if value not in laid:
            laid[value] = _insert(graph, value, bags)
        targets[name] = laid[value]
    return {name for name, bags in found.items() if bags is not None}


def _flattenings(value: ir.Value) -> Iterator[ir.Node]:
    """Nodes before ``value`` that join the first two axes of [N, T, ...], and nothing else.

    Between them and ``value`` every image goes its own way along the first axis.
    """
    rows = dims_of(value)[0]
    pending, seen = [value], {value}
    for _ in range(_REACH):
        if not pending:
            return
        node = pending.pop().producer()
        if node is None or node.op_type in _MIXING:
            continue
        if node.op_type == "Reshape":
            before, after = node.inputs[0], dims_of(node.outputs[0])
            shape: list[Dim] = [] if before is None or before.shape is None else dims_of(before)
            if len(shape) == len(after) + 1 and shape[2:] == after[1:]:
                yield node
            if not shape or shape[0] != rows or rows is None:
                continue
        for other in node.inputs:
            if other is None or other in seen or other.shape is None or len(other.shape) < 3:
                continue
            seen.add(other)
            pending.append(other)


def _keeps_input(value: ir.Value) -> bool:
    """Whether ``value`` is an input of the graph, moved at most, with the batch first."""
    while not value.is_graph_input():
        node = value.producer()
        if node is None:
            return False
        given = [one for one in node.inputs if one is not None and constant_of(one) is None]
        if node.op_type == "Transpose":
            if node.attributes["perm"].as_ints()[0] != 0:
                return False
        elif node.op_type not in _BY_ELEMENT or len(given) != 1:
            return False
        value = given[0]
    return True


def _insert(graph: ir.Graph, value: ir.Value, bags: Bags) -> ir.Value:
    """Insert [N * T, C, h, w] -> [N, C, T, h, w] and back behind a value."""
    rows, *rest = dims_of(value)
    channels, *space = rest
    split: list[Dim] = [bags.batch, bags.instances, *rest]
    readers = [(use.node, use.idx) for use in value.uses()]
    taken = {one.name for node in graph for one in node.outputs}
    base = next(n for n in _numbered(f"{value.name}_by_instance") if f"{n}_rows" not in taken)
    turned: list[Dim] = [bags.batch, channels, bags.instances, *space]
    shapes = [split, turned, split, [rows, *rest]]
    last, nodes = value, list[ir.Node]()
    for place, shape in enumerate(shapes):
        name = base if place == 1 else f"{base}_{('rows', '', 'bags', 'joined')[place]}"
        if place in (1, 2):
            node = ir.node("Transpose", [last], {"perm": [0, 2, 1, 3, 4]}, name=name)
        else:
            node = reshape_node(graph, last, shape, name)
        last = node.outputs[0]
        last.name, last.type, last.shape = name, value.type, ir.Shape(shape)
        nodes.append(node)
    for node, index in readers:
        node.replace_input_with(index, last)
    producer = value.producer()
    if producer is None:
        graph.insert_before(next(iter(graph)), nodes)
    else:
        graph.insert_after(producer, nodes)
    return nodes[1].outputs[0]


def _numbered(base: str) -> Iterator[str]:
    yield base
    number = 1
    while True:
        yield f"{base}_{number}"
        number += 1
