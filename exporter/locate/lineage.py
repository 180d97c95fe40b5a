"""A `Lineage` says what a value is computed from: inputs, and grids of convolutions before it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ..graph.emitter import Dim, dims_of
from ..graph.queries import inputs_of

_MOST_GRIDS = 256  # of convolutions before a value; models have a few dozen
_BY_SHAPE = frozenset({"Shape", "Size"})  # they read how large a value is, not what it holds


@dataclass(frozen=True)
class Lineage:
    """What a value is computed from.

    Attributes:
        inputs: Inputs of the graph with two axes or more, in their order.
        grids: Extents of the convolutions on the way, its own included.
        joined: Where the model puts other tokens behind the image's, its own or those of a text:
            the number of tokens before them, theirs, and the number behind them.
        content: Whether it depends on what the inputs hold, not only on how large they are.
    """

    inputs: tuple[ir.Value, ...] = ()
    grids: frozenset[tuple[Dim, ...]] = frozenset()
    joined: frozenset[tuple[int, int, int]] = frozenset()
    content: bool = True

    @property
    def has_image(self) -> bool:
        """Whether it depends on what an image holds."""
        return self.content and any(len(dims_of(one)) > 3 for one in self.inputs)


def lineages(graph: ir.Graph) -> dict[ir.Value, Lineage]:
    """The lineage of every value of a graph."""
    ports = [value for value in graph.inputs if value.shape is not None and len(value.shape) > 1]
    found = {value: Lineage((value,)) for value in ports}
    for node in graph:
        before = [found[value] for value in inputs_of(node) if value in found]
        inputs = _in_order(ports, [one.inputs for one in before])
        grids = _union([one.grids for one in before])
        joined = frozenset(_joined(node, found)).union(*(one.joined for one in before))
        content = node.op_type not in _BY_SHAPE and any(one.content for one in before)
        for value in node.outputs:
            own = node.op_type == "Conv" and value.shape is not None
            more = frozenset({tuple(dims_of(value)[2:])} if own else ())
            every = _union([grids, more]) if len(grids) < _MOST_GRIDS else grids
            found[value] = Lineage(inputs, every, joined, content)
    return found


def _union(sets: Sequence[frozenset[tuple[Dim, ...]]]) -> frozenset[tuple[Dim, ...]]:
    """The union of sets; one of them itself where it holds the others, as in most nodes."""
    largest = max(sets, key=len, default=frozenset[tuple[Dim, ...]]())
    return largest if all(one <= largest for one in sets) else largest.union(*sets)


def _in_order(
    ports: Sequence[ir.Value], inputs: Sequence[tuple[ir.Value, ...]]
) -> tuple[ir.Value, ...]:
    """The ports that are in one of several tuples, which have the order of the ports."""
    longest = max(inputs, key=len, default=())
    known = {*longest}
    if all(known.issuperset(one) for one in inputs if one is not longest):
        return longest
    known.update(*inputs)
    return tuple(port for port in ports if port in known)


def _joined(node: ir.Node, found: Mapping[ir.Value, Lineage]) -> set[tuple[int, int, int]]:
    """Tokens before, of and behind the image, if a node joins the image's with others.

    Others are the model's own, or those of a text that is given with the image.
    """
    if node.op_type != "Concat" or any(one is None or one.shape is None for one in node.inputs):
        return set()
    parts = [one for one in node.inputs if one is not None]
    counts = [dims_of(one)[1] for one in parts if len(dims_of(one)) == 3]
    of_image = [one in found and found[one].content for one in parts]
    if sum(of_image) > 1:
        of_image = [one in found and found[one].has_image for one in parts]
    numbers = [count for count in counts if isinstance(count, int)]
    along = node.attributes["axis"].as_int() in (1, -2)
    if not along or len(numbers) < len(parts) or sum(of_image) != 1:
        return set()
    place = of_image.index(True)
    behind = sum(numbers[place + 1 :])
    return {(sum(numbers[:place]), numbers[place], behind)} if behind else set()
