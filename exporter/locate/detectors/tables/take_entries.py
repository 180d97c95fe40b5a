"""`take_entries` gives some entries of a value as a value of their own, before their activation.

What moves and joins all entries is repeated for these only: the gradient of a class score then
passes no box, and no level's box branch is among the ancestors of its class scores.
"""

from __future__ import annotations

import onnx_ir as ir

from ....graph.emitter import Dim, Emitter, dims_of
from ..detection import Entries
from .entry_steps import Step, step_back


def take_table(
    emit: Emitter, value: ir.Value, axis: int, first: int, count: int, before: str = ""
) -> Entries:
    """Return ``count`` entries of all boxes, as `take_entries` does, in the order they are made in.

    Args:
        emit: Where nodes are added.
        value: Of rank 3.
        axis: The axis of the entries, 1 or 2; the boxes lie along the other one.
        first: The first entry.
        count: Number of entries.
        before: The activation to leave out.
    """
    while (step := step_back(value, axis)) is not None and step.kind == "moved":
        kept = step.axis == axis and dims_of(step.inputs[0])[3 - axis] == dims_of(value)[3 - axis]
        turned = step.node.op_type == "Transpose" and step.axis == 3 - axis
        if len(dims_of(step.inputs[0])) != 3 or not (kept or turned):
            break
        value, axis, first = step.inputs[0], step.axis, first + step.start
    taken = take_entries(emit, value, axis, first, count, before)
    return Entries(taken, 3 - axis, 0, count)


def take_entries(
    emit: Emitter, value: ir.Value, axis: int, first: int, count: int, before: str = "",
    *, factor: bool = False,
) -> ir.Value:  # fmt: skip
    """Return ``count`` entries along an axis from ``first`` on.

    Args:
        emit: Where nodes are added; the value that has just these entries is returned as it is.
        value: Of any rank.
        axis: The axis of the entries.
        first: The first entry.
        count: Number of entries.
        before: The activation to leave out, such as ``Sigmoid``; an empty string keeps all.
        factor: Of entries that are multiplied with another one take that, not themselves.
    """
    node = value.producer()
    if node is not None and before and node.op_type == before and node.inputs[0] is not None:
        return cut(emit, node.inputs[0], axis, first, count)
    whole = first == 0 and dims_of(value)[axis] == count
    step = None if whole and not before else step_back(value, axis)
    if step is None:
        return cut(emit, value, axis, first, count)
    shape = [count if place == axis else dim for place, dim in enumerate(dims_of(value))]
    if step.kind == "product":
        if not before:
            return cut(emit, value, axis, first, count)
        if factor:
            return take_entries(emit, step.inputs[1], step.axis, 0, 1, before)
        return take_entries(emit, step.inputs[0], step.axis, first, count, before)
    if step.kind == "joined":
        return _of_joined(emit, step, (first, count), before, factor=factor, shape=shape)
    inner = [
        take_entries(emit, one, step.axis, first + step.start, count, before, factor=factor)
        for one in step.inputs
    ]
    if factor and before:
        shape[axis] = 1
    if step.kind == "stacked":
        along = step.node.attributes["axis"].as_int()
        return emit.op("Concat", *inner, role="entries", axis=along, shape=shape)
    return _again(emit, step, value, inner[0], axis, shape)


def _of_joined(
    emit: Emitter, step: Step, wanted: tuple[int, int], before: str, *,
    factor: bool, shape: list[Dim],
) -> ir.Value:  # fmt: skip
    """The entries of the inputs of a Concat that has them one after the other."""
    first, count = wanted
    found, start = list[ir.Value](), 0
    for one in step.inputs:
        extent = dims_of(one)[step.axis]
        assert isinstance(extent, int)
        low, high = max(first, start), min(first + count, start + extent)
        if low < high:
            found.append(take_entries(
                emit, one, step.axis, low - start, high - low, before, factor=factor
            ))  # fmt: skip
        start += extent
    if len(found) == 1:
        return found[0]
    return emit.op("Concat", *found, role="entries", axis=step.axis, shape=shape)


def _again(
    emit: Emitter, step: Step, value: ir.Value, inner: ir.Value, axis: int, shape: list[Dim]
) -> ir.Value:
    """Do to some entries what a node does to all."""
    node = step.node
    if node.op_type in ("Identity", "Cast", "Dropout"):
        return inner
    if node.op_type == "Transpose":
        perm = node.attributes.get("perm")
        order = range(len(shape))[::-1] if perm is None else [int(one) for one in perm.as_ints()]
        return emit.op("Transpose", inner, role="entries", perm=list(order), shape=shape)
    if node.op_type in ("Reshape", "Flatten", "Squeeze", "Unsqueeze"):
        parts = [
            extent if isinstance(extent, int) else (value, place)
            for place, extent in enumerate(shape)
        ]
        return emit.op("Reshape", inner, emit.vector(parts), role="entries", shape=shape)
    if node.op_type == "Gather" and len(dims_of(value)) < len(dims_of(inner)):
        along = node.attributes.get_int("axis", 0)
        return emit.op("Gather", inner, node.inputs[1], role="entries", axis=along, shape=shape)
    return _other_axes(emit, step, value, inner, axis, shape)


def _other_axes(
    emit: Emitter, step: Step, value: ir.Value, inner: ir.Value, axis: int, shape: list[Dim]
) -> ir.Value:
    """What a Slice or Split does along other axes; along the entries' it is done already."""
    before = step.inputs[0]
    for place, (old, new) in enumerate(zip(dims_of(before), dims_of(value), strict=True)):
        moved = None if place == axis or old == new else step_back(value, place)
        if moved is not None and isinstance(new, int):
            inner = emit.op(
                "Slice", inner, [moved.start], [moved.start + new], [place], role="entries",
                shape=[*dims_of(inner)[:place], new, *dims_of(inner)[place + 1 :]],
            )  # fmt: skip
    assert dims_of(inner) == shape
    return inner


def cut(emit: Emitter, value: ir.Value, axis: int, first: int, count: int) -> ir.Value:
    """Consecutive entries along an axis; all of them are the value itself."""
    dims = dims_of(value)
    if first == 0 and dims[axis] == count:
        return value
    shape = [count if place == axis else dim for place, dim in enumerate(dims)]
    return emit.op("Slice", value, [first], [first + count], [axis], role="entries", shape=shape)
