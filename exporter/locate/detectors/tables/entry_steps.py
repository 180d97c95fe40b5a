"""`step_back` follows the entries of an axis through the nodes that only move or join them.

A detector's output joins boxes, scores and more along its axis of entries, and the anchors of all
levels along the other one. Every analysis of such an output goes back by these steps.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from ....graph.attributes import constant_ints
from ....graph.emitter import Dim, dims_of
from ....graph.extents import product_of

_LIKE = frozenset({"Identity", "Cast", "Dropout"})
_RESHAPES = frozenset({"Reshape", "Flatten", "Squeeze", "Unsqueeze"})


@dataclass(frozen=True)
class Step:
    """One node back from the entries along an axis of a value.

    Attributes:
        kind: ``moved``: one input has all of them in a row; ``joined``: the inputs have them one
            after the other; ``stacked``: each input has all of them, for other places;
            ``product``: the first input has them, times the single entry of the second.
        node: The node.
        inputs: What has the entries.
        axis: Their axis there.
        start: Of ``moved``: the first of them there.
    """

    kind: Literal["moved", "joined", "stacked", "product"]
    node: ir.Node
    inputs: tuple[ir.Value, ...]
    axis: int
    start: int = 0


def step_back(value: ir.Value, axis: int) -> Step | None:
    """Return the step behind ``value``, or None where its entries are computed."""
    node = value.producer()
    before = node.inputs[0] if node is not None and node.inputs else None
    if node is None or before is None or before.shape is None or value.shape is None:
        return None
    rank = len(value.shape)
    if node.op_type == "Concat":
        return _concat(node, axis, rank)
    if node.op_type == "Mul":
        return _product(node, value, axis)
    if node.op_type in _LIKE:
        return Step("moved", node, (before,), axis)
    if node.op_type == "Transpose":
        perm = node.attributes.get("perm")
        order = list(range(rank))[::-1] if perm is None else [int(one) for one in perm.as_ints()]
        return Step("moved", node, (before,), order[axis])
    if node.op_type in _RESHAPES:
        place = axis_before(dims_of(before), dims_of(value), axis)
        return None if place is None else Step("moved", node, (before,), place)
    return _cut(node, value, before, axis)


def axis_before(before: Sequence[Dim], after: Sequence[Dim], axis: int) -> int | None:
    """Where an axis lay before a reshape that keeps it whole; None if it does not."""
    found = [
        place for place, extent in enumerate(before)
        if extent == after[axis] and (
            product_of(before[:place]) == product_of(after[:axis])
            or product_of(before[place + 1 :]) == product_of(after[axis + 1 :])
        )
    ]  # fmt: skip
    if axis in found:  # of several axes of one entry the one that stays where it is
        return axis
    return found[0] if found else None


def _concat(node: ir.Node, axis: int, rank: int) -> Step | None:
    parts = [part for part in node.inputs if part is not None and part.shape is not None]
    if len(parts) < len(node.inputs):
        return None
    along = node.attributes["axis"].as_int() % rank
    return Step("joined" if along == axis else "stacked", node, tuple(parts), axis)


def _product(node: ir.Node, value: ir.Value, axis: int) -> Step | None:
    """A product of two tensors of one rank, of which one has a single entry."""
    one, other = node.inputs
    for many, single in ((one, other), (other, one)):
        if many is None or single is None or many.shape is None or single.shape is None:
            continue
        if len(many.shape) == len(single.shape) == len(dims_of(value)):
            places = [i for i in range(len(many.shape)) if i != axis]
            alike = [dims_of(many)[i] == dims_of(single)[i] for i in places]
            if all(alike) and dims_of(single)[axis] == 1:
                return Step("product", node, (many, single), axis)
    return None


def _cut(node: ir.Node, value: ir.Value, before: ir.Value, axis: int) -> Step | None:
    if node.op_type == "Slice":
        return _slice(node, before, axis)
    rank = len(dims_of(before))
    if node.op_type == "Split":
        along = node.attributes.get_int("axis", 0) % rank
        sizes = [dims_of(one)[along] if one.shape else None for one in node.outputs]
        earlier = sizes[: list(node.outputs).index(value)]
        known = [size for size in earlier if isinstance(size, int)]
        if len(known) < len(earlier):
            return None
        return Step("moved", node, (before,), axis, sum(known) if along == axis else 0)
    if node.op_type == "Gather":
        along = node.attributes.get_int("axis", 0) % rank
        places, indices = constant_ints(node.inputs[1]), node.inputs[1]
        if places is None or indices is None or indices.shape is None:
            return None
        if len(indices.shape) == 0:
            return Step("moved", node, (before,), axis + (along <= axis))
        row = places == list(range(places[0], places[0] + len(places))) if places else False
        if along == axis and row and len(indices.shape) == 1 and places[0] >= 0:
            return Step("moved", node, (before,), axis, places[0])
    return None


def _slice(node: ir.Node, before: ir.Value, axis: int) -> Step | None:
    bounds = [constant_ints(node.inputs[i]) if i < len(node.inputs) else [] for i in range(1, 5)]
    starts, _ends, axes, steps = bounds
    extent = dims_of(before)[axis]
    rank = len(dims_of(before))
    if axes is None:
        return None
    places = [one % rank for one in axes] or list(range(len(starts or ())))
    if axis not in places:
        return Step("moved", node, (before,), axis)
    at = places.index(axis)
    if starts is None or steps is None or (steps and steps[at] != 1):
        return None
    start = starts[at]
    if start < 0:
        if not isinstance(extent, int):
            return None
        start += extent
    return Step("moved", node, (before,), axis, start)
