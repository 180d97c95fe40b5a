"""Operators that move elements without changing them: views, permutations, joining and cutting."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from ...graph.attributes import int_attribute, ints_attribute, only_input
from ...graph.emitter import Emitter, dims_of
from ..adjoint import Adjoint, Result
from ..registry import Needed, vjp, vjp_many
from ..support.strided import put_back, slice_ranges
from ..support.values import reshape_like, zeros_like


@vjp("Reshape", since=5, inputs=(0,), quantised=True)
@vjp("Flatten", since=9, quantised=True)
@vjp("Squeeze", since=13, inputs=(0,), quantised=True)
@vjp("Unsqueeze", since=13, inputs=(0,), quantised=True)
def view(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """The cotangent in the input's shape."""
    return [reshape_like(emit, grad.value, only_input(node), role="viewed")]


@vjp("Transpose", since=1, lazy=True, quantised=True)
def transpose(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """The cotangent under the inverse permutation."""
    rank = len(dims_of(node.outputs[0]))
    perm = ints_attribute(node, "perm") or list(reversed(range(rank)))
    inverse = [perm.index(axis) for axis in range(rank)]
    value = emit.op("Transpose", grad.value, perm=[0, *(1 + axis for axis in inverse)])
    return [Adjoint(value, spread=frozenset(perm[axis] for axis in grad.spread))]


@vjp("Expand", since=8, inputs=(0,), lazy=True, broadcasts=True)
def expand(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """The cotangent itself; the walker sums it over what was expanded."""
    return [grad]


def _concat_extents(node: ir.Node) -> str | None:
    axis = int_attribute(node, "axis", 0)
    for value in node.inputs:
        if value is None or value.shape is None or not isinstance(dims_of(value)[axis], int):
            return f"the extent of an input along axis {axis} is unknown; export it as static"
    return None


@vjp("Concat", since=4, lazy=True, quantised=True, check=_concat_extents)
def concat(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """Each input's part of the cotangent."""
    sources = [only_input(node, index) for index in range(len(node.inputs))]
    return parts_of_join(emit, node, grad, sources, needed)


def parts_of_join(
    emit: Emitter,
    node: ir.Node,
    grad: Adjoint,
    sources: Sequence[ir.Value],
    needed: Needed | None = None,
) -> list[Result]:
    """Parts of a Concat's cotangent for ``sources``, which make up its output in this order."""
    axis = int_attribute(node, "axis", 0) % len(dims_of(node.outputs[0]))
    results: list[Result] = []
    start = 0
    for source, wanted in zip(sources, needed or [True] * len(sources), strict=True):
        extent = dims_of(source)[axis]
        assert isinstance(extent, int)
        if not wanted:
            results.append(None)
        elif axis in grad.spread:
            results.append(grad)
        else:
            bounds = (emit.ints([start]), emit.ints([start + extent]), emit.ints([1 + axis]))
            value = emit.op("Slice", grad.value, *bounds, role="part")
            results.append(Adjoint(value, spread=grad.spread))
        start += extent
    return results


@vjp_many("Split", since=13, quantised=True)
def split(
    emit: Emitter, node: ir.Node, grads: Sequence[ir.Value | None], needed: Needed
) -> Sequence[Result]:
    """The parts' cotangents joined; zeros where a part does not lead to the score."""
    axis = int_attribute(node, "axis", 0) % len(dims_of(only_input(node)))
    some = next(grad for grad in grads if grad is not None)
    parts = [
        zeros_like(emit, value, some) if grad is None else grad
        for value, grad in zip(node.outputs, grads, strict=True)
    ]
    return [emit.op("Concat", *parts, axis=1 + axis)]


def _slice_known(node: ir.Node) -> str | None:
    try:
        slice_ranges(node)
    except ValueError as error:
        return str(error)
    return None


@vjp("Slice", since=10, inputs=(0,), quantised=True, check=_slice_known)
def slice_(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """The cotangent at the places that were taken, zero elsewhere."""
    return [put_back(emit, grad.value, node.outputs[0], slice_ranges(node))]
