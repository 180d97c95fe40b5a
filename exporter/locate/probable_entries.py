"""`probable_entries` tells which entries of a value are probabilities: a detector's classes."""

from __future__ import annotations

from typing import TypeAlias

import onnx_ir as ir

from ..graph.attributes import constant_ints
from ..graph.emitter import dims_of

_DEPTH = 80  # nodes that are read behind a value
_MOST_ENTRIES = 1 << 20  # of an axis whose entries are told apart
_LIKE = frozenset({"Identity", "Cast"})
_Known: TypeAlias = dict[tuple[ir.Value, int], list[int] | None]


def probable_entries(value: ir.Value, axis: int) -> list[int] | None:
    """For each entry along an axis which Sigmoid or Softmax gives it, counted from 1; 0 for none.

    Parts that are cut, joined, turned and reshaped are followed. None where the axis is open,
    or longer than any axis of classes.
    """
    return _entries(value, axis, _DEPTH, {})


def _entries(value: ir.Value, axis: int, depth: int, known: _Known) -> list[int] | None:
    """The same; each value is read once, however many ways lead to it."""
    if (value, axis) not in known:
        known[value, axis] = _read(value, axis, depth, known)
    return known[value, axis]


def _read(value: ir.Value, axis: int, depth: int, known: _Known) -> list[int] | None:
    extent = dims_of(value)[axis]
    if not isinstance(extent, int) or extent > _MOST_ENTRIES:
        return None
    none, node = [0] * extent, value.producer()
    if node is None or not depth:
        return none
    if node.op_type in ("Sigmoid", "Softmax"):
        return [1] * extent
    found = _through(node, value, axis, depth - 1, known)
    return _numbered(found) if found is not None and len(found) == extent else none


def _numbered(entries: list[int]) -> list[int]:
    """The same with numbers in the order of their first entries."""
    order = dict.fromkeys(entry for entry in entries if entry)
    numbers = {0: 0} | {entry: place for place, entry in enumerate(order, 1)}
    return [numbers[entry] for entry in entries]


def _through(
    node: ir.Node, value: ir.Value, axis: int, depth: int, known: _Known
) -> list[int] | None:
    """The entries of a node's result, as those of its inputs show them."""
    before = node.inputs[0] if node.inputs else None
    if node.op_type == "Concat":
        return _joined(node, value, axis, depth, known)
    if before is None or before.shape is None:
        return None
    if node.op_type in _LIKE:
        return _entries(before, axis, depth, known)
    if node.op_type == "Transpose" and "perm" in node.attributes:
        return _entries(before, int(node.attributes["perm"].as_ints()[axis]), depth, known)
    if node.op_type == "Slice":
        return _cut(node, before, axis, depth, known)
    if node.op_type == "Split":
        return _split(node, value, before, axis, depth, known)
    if node.op_type in ("Reshape", "Flatten", "Squeeze", "Unsqueeze"):
        extent = dims_of(value)[axis]
        same = [place for place, one in enumerate(dims_of(before)) if one == extent]
        return _entries(before, same[0], depth, known) if len(same) == 1 else None
    return None


def _joined(
    node: ir.Node, value: ir.Value, axis: int, depth: int, seen: _Known
) -> list[int] | None:
    along = node.attributes.get_int("axis", 0) % len(dims_of(value))
    parts = [
        None if part is None or part.shape is None else _entries(part, axis, depth, seen)
        for part in node.inputs
    ]
    known = [part for part in parts if part is not None]
    if len(known) < len(parts):
        return None
    if along == axis:
        joined = list[int]()
        for part in known:
            last = max(joined, default=0)
            joined += [entry + last if entry else 0 for entry in part]
        return joined
    return known[0] if all(part == known[0] for part in known) else None


def _cut(node: ir.Node, before: ir.Value, axis: int, depth: int, known: _Known) -> list[int] | None:
    bounds = [constant_ints(node.inputs[i]) if i < len(node.inputs) else [] for i in range(1, 5)]
    starts, ends, axes, steps = bounds
    if starts is None or ends is None or axes is None or steps is None:
        return None
    rank = len(dims_of(before))
    places = [one % rank for one in axes] or list(range(len(starts)))
    whole = _entries(before, axis, depth, known)
    if whole is None or axis not in places:
        return whole
    at = places.index(axis)
    return whole[starts[at] : ends[at] : steps[at] if steps else 1]


def _split(
    node: ir.Node, value: ir.Value, before: ir.Value, axis: int, depth: int, seen: _Known
) -> list[int] | None:
    whole = _entries(before, axis, depth, seen)
    if whole is None or node.attributes.get_int("axis", 0) % len(dims_of(before)) != axis:
        return whole
    sizes = [dims_of(one)[axis] for one in node.outputs]
    known = [size for size in sizes if isinstance(size, int)]
    if len(known) < len(sizes):
        return None
    place = list(node.outputs).index(value)
    return whole[sum(known[:place]) : sum(known[: place + 1])]
