"""These rules differentiate operators that only move elements: views, joining, cutting."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate, pairwise

import onnx_ir as ir

from ...graph.attributes import ints_attribute, only_input
from ...graph.emitter import Emitter, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp, vjp_many
from ..support.strided import put_back, slice_ranges
from ..support.values import readable, reshape_like, static_extent, zeros_like


@vjp("Reshape", since=5, inputs=(0,), quantised=True)
@vjp("Flatten", since=9, quantised=True)
@vjp("Squeeze", since=13, inputs=(0,), quantised=True)
@vjp("Unsqueeze", since=13, inputs=(0,), quantised=True)
def view(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent in the input's shape."""
    return [g.through(reshape_like, only_input(node), "viewed")]


@vjp("Transpose", since=1, lazy=True, quantised=True)
def transpose(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent under the inverse permutation."""
    rank = len(dims_of(node.outputs[0]))
    perm = ints_attribute(node, "perm") or list(reversed(range(rank)))
    inverse = [perm.index(axis) for axis in range(rank)]
    turned = g.op("Transpose", perm=[0, *(1 + axis for axis in inverse)])
    return [turned.with_value(turned.value, [perm[axis] for axis in g.spread])]


@vjp("Expand", since=8, inputs=(0,), lazy=True, broadcasts=True)
def expand(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent itself; the walk sums it over what was expanded."""
    return [g]


def _concat_extents(node: ir.Node) -> str | None:
    axis = node.attributes.get_int("axis", 0)
    for value in node.inputs:
        if value is None or value.shape is None or not isinstance(dims_of(value)[axis], int):
            return f"the extent of an input along axis {axis} is unknown; export it as static"
    return None


@vjp("Concat", since=4, lazy=True, quantised=True, check=_concat_extents)
def concat(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """Each input's part of the cotangent."""
    starts = _starts(node, [only_input(node, index) for index in range(len(node.inputs))])
    return [
        _part(node, g, *bounds) if asked else None
        for bounds, asked in zip(starts, needed, strict=True)
    ]


def parts_of_concat(node: ir.Node, g: Cotangent, sources: Sequence[ir.Value]) -> list[Cotangent]:
    """Parts of a Concat's cotangent for ``sources``, which make up its output in this order."""
    return [_part(node, g, *bounds) for bounds in _starts(node, sources)]


def _starts(node: ir.Node, sources: Sequence[ir.Value]) -> list[tuple[int, int]]:
    """Where each of ``sources`` begins and ends along the axis of a Concat."""
    axis = node.attributes.get_int("axis", 0)
    ends = [0, *accumulate(static_extent(source, axis) for source in sources)]
    return list(pairwise(ends))


def _part(node: ir.Node, g: Cotangent, start: int, end: int) -> Cotangent:
    """A Concat's cotangent between two places along its axis."""
    axis = node.attributes.get_int("axis", 0) % len(dims_of(node.outputs[0]))
    if axis in g.spread:
        return g
    return g.op("Slice", [start], [end], [1 + axis], role="part")


@vjp_many("Split", since=13, quantised=True)
def split(
    emit: Emitter, node: ir.Node, grads: Sequence[Cotangent | None], needed: Needed
) -> Cotangents:
    """The parts' cotangents joined; zeros where a part does not lead to the score."""
    axis = node.attributes.get_int("axis", 0) % len(dims_of(only_input(node)))
    some = next(g for g in grads if g is not None)
    parts = [
        zeros_like(emit, value, some.value) if g is None else g.value
        for value, g in zip(node.outputs, grads, strict=True)
    ]
    return [some.with_value(emit.op("Concat", *parts, axis=1 + axis))]


@vjp("Slice", since=10, inputs=(0,), quantised=True, check=readable(slice_ranges))
def slice_(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The cotangent at the places that were taken, zero elsewhere."""
    return [g.through(put_back, node.outputs[0], slice_ranges(node))]
