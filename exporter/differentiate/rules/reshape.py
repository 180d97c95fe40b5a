"""These rules differentiate operators that only move elements: views, joining, cutting."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import onnx_ir as ir

from ...graph.attributes import ints_attribute, only_input
from ...graph.emitter import Emitter, Extent, dims_of, parts_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp, vjp_many
from ..support.strided import put_back, slice_ranges
from ..support.values import readable, reshape_like, zeros_like


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


@vjp("Concat", since=4, lazy=True, quantised=True)
def concat(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """Each input's part of the cotangent."""
    sources = [only_input(node, index) for index in range(len(node.inputs))]
    bounds = _bounds(node, sources)
    return [
        _part(node, g, *bound) if asked else None
        for bound, asked in zip(bounds, needed, strict=True)
    ]


def parts_of_concat(node: ir.Node, g: Cotangent, sources: Sequence[ir.Value]) -> list[Cotangent]:
    """Parts of a Concat's cotangent for ``sources``, which make up its output in this order."""
    return [_part(node, g, *bound) for bound in _bounds(node, sources)]


def _bounds(node: ir.Node, sources: Sequence[ir.Value]) -> list[tuple[list[Extent], list[Extent]]]:
    """Where each of ``sources`` begins and ends along the axis of a Concat, as sums of extents.

    Open extents are read at run time.
    """
    axis = node.attributes.get_int("axis", 0) % len(dims_of(sources[0]))
    ends: list[list[Extent]] = [[0]]
    for source in sources:
        extent = dims_of(source)[axis]
        known, *open_ones = ends[-1]
        if isinstance(extent, int) and isinstance(known, int):
            ends.append([known + extent, *open_ones])
        else:
            ends.append([*ends[-1], *parts_of(source, [axis])])
    return list(pairwise(ends))


def _part(node: ir.Node, g: Cotangent, start: list[Extent], end: list[Extent]) -> Cotangent:
    """A Concat's cotangent between two places along its axis."""
    axis = node.attributes.get_int("axis", 0) % len(dims_of(node.outputs[0]))
    if axis in g.spread:
        return g
    places = [_sum(g.emit, place) for place in (start, end)]
    return g.op("Slice", *places, [1 + axis], role="part")


def _sum(emit: Emitter, extents: Sequence[Extent]) -> ir.Value:
    """A sum of extents as an int64 vector of one number."""
    total = emit.vector(extents[:1])
    for extent in extents[1:]:
        total = emit.op("Add", total, emit.vector([extent]), role="place")
    return total


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
    return [g.through(put_back, node.outputs[0], slice_ranges(node), only_input(node))]
