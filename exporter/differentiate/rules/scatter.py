"""These rules differentiate operators that write or combine elements at indexed places."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, dims_of, parts_of
from ...graph.expression import Expression
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.values import indices_ranked, input_of, reshape_like, static_extent
from .indexing import flat_places, indexed_axes, lifted_places


def _untouched(emit: Emitter, node: ir.Node) -> ir.Value:
    """A mask of ``data``'s shape: false where the node writes an update."""
    data, indices, updates = (only_input(node, i) for i in range(3))
    everything = emit.op("Expand", emit.constant(True), emit.extents(data), role="everything")
    nothing = emit.op("Expand", emit.constant(False), emit.extents(updates), role="nothing")
    if node.op_type == "ScatterND":
        return emit.op("ScatterND", everything, indices, nothing, role="untouched")
    axis = _axis(node)
    return emit.op("ScatterElements", everything, indices, nothing, role="untouched", axis=axis)


def _axis(node: ir.Node) -> int:
    return node.attributes.get_int("axis", 0) % len(dims_of(only_input(node)))


def _reduction(node: ir.Node) -> str:
    return node.attributes.get_string("reduction", "none")


def _covered(node: ir.Node) -> str | None:
    if node.op_type == "ScatterND" and _reduction(node) in ("mul", "min", "max"):
        return indexed_axes(node)
    return indices_ranked(node)


@vjp("ScatterElements", "ScatterND", since=11, inputs=(0, 2), check=_covered)
def scatter(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent at the updated places for the updates, the rest (all, if added) for the data.

    Without ``reduction`` ONNX leaves open which of two updates of one element is written: both
    get the cotangent then, as in PyTorch. For products and extremes see `product` and `extreme`.
    """
    if _reduction(node) in ("mul", "min", "max"):
        table = by_tuples(node, g) if node.op_type == "ScatterND" else by_elements(node, g)
        return (product if _reduction(node) == "mul" else extreme)(node, table, needed)
    data = updates = None
    if needed[0]:
        data = g if _reduction(node) == "add" else g.where(_untouched(emit, node))
    if needed[2]:
        updates = _written(node, g)
    return [data, None, updates]


def _written(node: ir.Node, g: Cotangent) -> Cotangent:
    """The cotangent at the updated places."""
    places = only_input(node, 1)
    if node.op_type == "ScatterElements":
        places = lifted_places(g.emit, places)
        return g.op("GatherElements", places, role="written", axis=1 + _axis(node))
    rank, updated = len(dims_of(only_input(node))), len(dims_of(only_input(node, 2)))
    last = g.op("Transpose", role="classes_last", perm=[*range(1, rank + 1), 0])
    taken = last.op("GatherND", places, role="written")
    return taken.op("Transpose", role="classes_first", perm=[updated, *range(updated)])


@dataclass(frozen=True)
class Table:
    """A scattering in the form of ScatterElements.

    Attributes:
        data: What is written to.
        places: Where, along ``axis``; as many as ``updates``.
        updates: What is written.
        grad: Its cotangent, [K, ...] in the shape of ``data``.
        axis: Axis of ``data``.
    """

    data: Expression
    places: ir.Value
    updates: Expression
    grad: Cotangent
    axis: int

    def scattered(self, data: Expression, updates: Expression, reduction: str) -> Expression:
        """Another scattering to the same places."""
        return data.op("ScatterElements", self.places, updates, axis=self.axis, reduction=reduction)

    def taken(self, value: Expression) -> Expression:
        """The elements of a forward value at the places."""
        return value.op("GatherElements", self.places, role="there", axis=self.axis)

    def taken_by_class(self, g: Cotangent) -> Cotangent:
        """The elements of a cotangent ``[K, ...]`` at the places."""
        emit = g.emit
        places = emit.op("Unsqueeze", self.places, [0], role="places")
        shape = emit.op("Shape", self.places, role="shape")
        places = emit.op("Expand", places, [emit.classes, shape], role="places")
        return g.op("GatherElements", places, role="written", axis=1 + self.axis)


def by_elements(node: ir.Node, g: Cotangent) -> Table:
    """The table of a ScatterElements."""
    data, updates = (input_of(g.emit, node, index) for index in (0, 2))
    return Table(data, only_input(node, 1), updates, g, _axis(node))


def by_tuples(node: ir.Node, g: Cotangent) -> Table:
    """The table of a ScatterND: its indexed axes are taken as one."""
    emit, data, indices = g.emit, only_input(node), only_input(node, 1)
    depth = static_extent(indices, -1)
    tail = parts_of(data, range(depth, len(dims_of(data))))
    cells = emit.op("ReduceProd", emit.extents(data, range(depth)), [0], role="cells")
    flat = flat_places(emit, data, indices)
    written = emit.vector([emit.op("Shape", flat, role="count"), *tail])
    column = emit.op("Reshape", flat, [-1, *[1] * len(tail)], role="places")
    return Table(
        input_of(emit, node).op("Reshape", [cells, *tail], role="rows"),
        emit.op("Expand", column, written, role="places"),
        input_of(emit, node, 2).op("Reshape", written, role="updates"),
        g.op("Reshape", [emit.classes, cells, *tail], role="rows"),
        0,
    )


def extreme(node: ir.Node, table: Table, needed: Needed) -> Cotangents:
    """Numbers that reach the extreme of their place share its cotangent, as in PyTorch."""
    data, updates = table.data, table.updates
    top = data.of(node.outputs[0]).op("Reshape", data.op("Shape"))
    own = data.indicator(data.equals(top))
    there = updates.indicator(updates.equals(table.taken(top)))
    share = table.grad / table.scattered(own, there, "add")
    by_data = by_updates = None
    if needed[0]:
        by_data = (share * own).through(reshape_like, only_input(node))
    if needed[2]:
        by_update = table.taken_by_class(share) * there
        by_updates = by_update.through(reshape_like, only_input(node, 2))
    return [by_data, None, by_updates]


def product(node: ir.Node, table: Table, needed: Needed) -> Cotangents:
    """``g`` times the product of a place's other factors, also where there are zeros.

    That product is the product of all numbers that are not 0, over the number itself if it is
    one of them, and 0 if there is a zero among the others.
    """
    data, updates = table.data, table.updates
    by_data = by_updates = None
    if needed[0]:
        ones = data.of(1.0).op("Expand", data.op("Shape"))
        others = table.scattered(ones, updates, "mul")
        by_data = (table.grad * others).through(reshape_like, only_input(node))
    if needed[2]:
        own, there = (one.indicator(one.equals(0.0)) for one in (data, updates))
        safe = updates + there
        whole = table.taken(table.scattered(data + own, safe, "mul"))
        count = table.taken(table.scattered(own, there, "add"))
        others = (whole / safe).where(count.equals(there))
        by_update = table.taken_by_class(table.grad) * others
        by_updates = by_update.through(reshape_like, only_input(node, 2))
    return [by_data, None, by_updates]
