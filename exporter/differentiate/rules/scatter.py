"""These rules differentiate operators that write or combine elements at indexed places."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from ...graph.attributes import int_attribute, only_input, string_attribute
from ...graph.emitter import Emitter, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.tensor import Tensor
from ..support.values import classes, indices_ranked, parts_of, reshape_like
from .indexing import flat_places, indexed_axes, lifted_places


def _classes_last(emit: Emitter, grad: ir.Value, rank: int) -> ir.Value:
    """``[K, ...]`` of a forward value with ``rank`` axes as ``[..., K]``."""
    return emit.op("Transpose", grad, role="classes_last", perm=[*range(1, rank + 1), 0])


def _classes_first(emit: Emitter, value: ir.Value, rank: int) -> ir.Value:
    """``[..., K]`` as ``[K, ...]``."""
    return emit.op("Transpose", value, role="classes_first", perm=[rank, *range(rank)])


def _untouched(emit: Emitter, node: ir.Node, axis: int | None) -> ir.Value:
    """A mask of ``data``'s shape: false where the node writes an update."""
    data, indices, updates = (only_input(node, i) for i in range(3))
    kind = ir.DataType.BOOL
    everything = emit.op(
        "Expand", emit.constant(True), emit.extents(data), role="everything", dtype=kind
    )
    nothing = emit.op(
        "Expand", emit.constant(False), emit.extents(updates), role="nothing", dtype=kind
    )
    if axis is None:
        return emit.op("ScatterND", everything, indices, nothing, role="untouched", dtype=kind)
    return emit.op(
        "ScatterElements", everything, indices, nothing, role="untouched", dtype=kind, axis=axis
    )


def _covered(node: ir.Node) -> str | None:
    if _reduces(node) and node.op_type == "ScatterND":
        return indexed_axes(node)
    return indices_ranked(node)


def _reduces(node: ir.Node) -> bool:
    return string_attribute(node, "reduction", "none") in ("mul", "min", "max")


def _reduced(emit: Emitter, node: ir.Node, table: Table, needed: Needed) -> Cotangents:
    """See `product` and `extreme`."""
    rule = product if string_attribute(node, "reduction", "none") == "mul" else extreme
    return rule(emit, node, table, needed)


def _adds(node: ir.Node) -> bool:
    return string_attribute(node, "reduction", "none") == "add"


@vjp("ScatterElements", since=11, inputs=(0, 2), check=_covered)
def scatter_elements(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent at the updated places for the updates, the rest (all, if added) for the data.

    Without ``reduction`` ONNX leaves open which of two updates of one element is written: both
    get the cotangent then, as in PyTorch. For products and extremes see `product` and `extreme`.
    """
    if _reduces(node):
        return _reduced(emit, node, by_elements(node, g), needed)
    axis = int_attribute(node, "axis", 0) % len(dims_of(only_input(node)))
    data = updates = None
    if needed[0]:
        data = g if _adds(node) else g.where(_untouched(emit, node, axis))
    if needed[2]:
        places = lifted_places(emit, only_input(node, 1))
        taken = emit.op("GatherElements", g.value, places, role="written", axis=1 + axis)
        updates = g.with_value(taken)
    return [data, None, updates]


@vjp("ScatterND", since=11, inputs=(0, 2), check=_covered)
def scatter_nd(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent at the updated places for the updates, the rest (all, if added) for the data.

    Without ``reduction`` ONNX leaves open which of two updates of one place is written: both get
    the cotangent then. For products and extremes see `product` and `extreme`.
    """
    if _reduces(node):
        return _reduced(emit, node, by_tuples(emit, node, g), needed)
    x, updated = only_input(node), only_input(node, 2)
    data = updates = None
    if needed[0]:
        data = g if _adds(node) else g.where(_untouched(emit, node, None))
    if needed[2]:
        last = _classes_last(emit, g.value, len(dims_of(x)))
        taken = emit.op("GatherND", last, only_input(node, 1), role="written")
        updates = g.with_value(_classes_first(emit, taken, len(dims_of(updated))))
    return [data, None, updates]


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

    data: ir.Value
    places: ir.Value
    updates: ir.Value
    grad: Cotangent
    axis: int

    def scattered(
        self, emit: Emitter, data: ir.Value, updates: ir.Value, reduction: str
    ) -> ir.Value:
        """Another scattering to the same places."""
        return emit.op(
            "ScatterElements", data, self.places, updates, role=f"by_{reduction}",
            axis=self.axis, reduction=reduction,
        )  # fmt: skip

    def taken(self, emit: Emitter, value: ir.Value) -> ir.Value:
        """The elements of a forward value at the places."""
        return emit.op("GatherElements", value, self.places, role="there", axis=self.axis)

    def taken_by_class(self, g: Cotangent) -> Cotangent:
        """The elements of a cotangent ``[K, ...]`` at the places."""
        emit = g.emit
        places = emit.op("Unsqueeze", self.places, emit.ints([0]), role="places")
        shape = emit.op("Shape", self.places, role="shape", dtype=ir.DataType.INT64)
        places = emit.op("Expand", places, emit.vector([classes(emit), shape]), role="places")
        return g.with_value(
            emit.op("GatherElements", g.value, places, role="written", axis=1 + self.axis)
        )


def by_elements(node: ir.Node, g: Cotangent) -> Table:
    """The table of a ScatterElements."""
    data, places, updates = (only_input(node, index) for index in range(3))
    axis = int_attribute(node, "axis", 0) % len(dims_of(data))
    return Table(data, places, updates, g, axis)


def by_tuples(emit: Emitter, node: ir.Node, g: Cotangent) -> Table:
    """The table of a ScatterND: its indexed axes are taken as one."""
    data, indices, updates = (only_input(node, index) for index in range(3))
    depth = dims_of(indices)[-1]
    assert isinstance(depth, int)
    tail = parts_of(data, range(depth, len(dims_of(data))))
    cells = emit.op("ReduceProd", emit.extents(data, range(depth)), emit.ints([0]), role="cells")
    flat = flat_places(emit, data, indices)
    count = emit.op("Shape", flat, role="count", dtype=ir.DataType.INT64)
    rows, written = emit.vector([cells, *tail]), emit.vector([count, *tail])
    column = emit.op("Reshape", flat, emit.ints([-1, *[1] * len(tail)]), role="places")
    return Table(
        emit.op("Reshape", data, rows, role="rows"),
        emit.op("Expand", column, written, role="places"),
        emit.op("Reshape", updates, written, role="updates"),
        g.with_value(
            emit.op("Reshape", g.value, emit.vector([classes(emit), cells, *tail]), role="rows")
        ),
        0,
    )


def extreme(emit: Emitter, node: ir.Node, table: Table, needed: Needed) -> Cotangents:
    """Numbers that reach the extreme of their place share its cotangent, as in PyTorch."""
    shape = emit.op("Shape", table.data, role="shape", dtype=ir.DataType.INT64)
    top = emit.op("Reshape", node.outputs[0], shape, role="top")
    own = _reaches(emit, table.data, top)
    there = _reaches(emit, table.updates, table.taken(emit, top))
    share = table.grad / table.scattered(emit, own, there, "add")
    return [
        (share * own).through(reshape_like, only_input(node)) if needed[0] else None,
        None,
        (table.taken_by_class(share) * there).through(reshape_like, only_input(node, 2))
        if needed[2]
        else None,
    ]


def _reaches(emit: Emitter, value: ir.Value, top: ir.Value) -> ir.Value:
    assert value.dtype is not None
    hit = emit.op("Equal", value, top, role="reaches", dtype=ir.DataType.BOOL)
    return emit.op("Cast", hit, role="reaches", dtype=value.dtype, to=int(value.dtype))


def product(emit: Emitter, node: ir.Node, table: Table, needed: Needed) -> Cotangents:
    """``g`` times the product of a place's other factors, also where there are zeros.

    That product is the product of all numbers that are not 0, over the number itself if it is
    one of them, and 0 if there is a zero among the others.
    """
    data = updates = None
    if needed[0]:
        one = emit.scalar(1.0, table.data)
        ones = emit.op("Expand", one, emit.op("Shape", table.data, dtype=ir.DataType.INT64))
        others = table.scattered(emit, ones, table.updates, "mul")
        data = (table.grad * others).through(reshape_like, only_input(node))
    if needed[2]:
        zero = emit.scalar(0.0, table.data)
        own, there = (_reaches(emit, value, zero) for value in (table.data, table.updates))
        safe_own = emit.op("Add", table.data, own, role="safe")
        safe = emit.op("Add", table.updates, there, role="safe")
        whole = Tensor(emit, table.taken(emit, table.scattered(emit, safe_own, safe, "mul")))
        count = Tensor(emit, table.taken(emit, table.scattered(emit, own, there, "add")))
        others = (whole / safe).where(count.equals(there))
        updates = (table.taken_by_class(table.grad) * others).through(
            reshape_like, only_input(node, 2)
        )
    return [data, None, updates]
