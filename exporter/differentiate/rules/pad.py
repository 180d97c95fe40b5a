"""This rule differentiates padding, by constants or by the tensor's own numbers."""

from __future__ import annotations

import onnx_ir as ir

from ...graph.attributes import constant_ints, only_input
from ...graph.emitter import Emitter, dims_of
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp
from ..support.strided import padded
from ..support.values import needs_constant

_END = 2**31 - 1  # beyond any extent
_BEFORE = -(2**31)  # before the first place


def _axes(node: ir.Node) -> list[int]:
    """The padded axes, in the order of the widths."""
    rank = len(dims_of(only_input(node)))
    chosen = constant_ints(node.inputs[3]) if len(node.inputs) > 3 else None
    return [axis % rank for axis in (range(rank) if chosen is None else chosen)]


def _known(node: ir.Node) -> str | None:
    mode = node.attributes.get_string("mode", "constant")
    if mode == "constant":
        return needs_constant(3)(node)
    reason = needs_constant(1, 3)(node)
    if reason:
        return reason
    dims = dims_of(only_input(node))
    for axis, pair in _widths(node).items():
        extent = dims[axis]
        if min(pair) < 0:
            return f"mode={mode!r} with negative widths has no gradient rule; crop by Slice"
        if mode != "edge" and isinstance(extent, int) and max(pair) > extent - (mode == "reflect"):
            return f"mode={mode!r}: the padding of axis {axis} is wider than the axis; pad twice"
    return None


def _widths(node: ir.Node) -> dict[int, tuple[int, int]]:
    """Widths before and after, by axis."""
    widths, axes = constant_ints(node.inputs[1]), _axes(node)
    assert widths is not None
    return dict(zip(axes, zip(widths, widths[len(axes) :], strict=False), strict=True))


@vjp("Pad", since=11, inputs=(0,), quantised=True, check=_known)
def pad(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """The padding undone; what it copied from the tensor goes back to where it was.

    Constants: a Pad with the negative widths. ``edge``: the border's sum goes to the outermost
    place; ``reflect``: the border, reversed, to the places behind it; ``wrap``: the border to the
    other end.
    """
    mode, rank = node.attributes.get_string("mode", "constant"), len(dims_of(only_input(node)))
    if constant_ints(node.inputs[1]) is None:
        return [g.through(_uncovered, node, rank)]
    widths = _widths(node)
    if mode == "constant":
        crops = {1 + axis: (-low, -high) for axis, (low, high) in widths.items()}
        return [g.through(padded, 1 + rank, crops)]
    for axis, (low, high) in widths.items():
        g = g.through(_returned, 1 + axis, low, high, mode)
    return [g]


def _uncovered(emit: Emitter, grad: ir.Value, node: ir.Node, rank: int) -> ir.Value:
    """``grad`` without a padding whose widths are computed at run time."""
    widths, axes = only_input(node, 1), _axes(node)
    none = emit.ints([0] * (2 * (rank + 1)))
    places = emit.constant([[1 + axis] for axis in axes] + [[rank + 2 + axis] for axis in axes])
    crops = emit.op("Neg", widths, role="narrowing")
    crops = emit.op("ScatterND", none, places, crops, role="narrowing")
    return emit.op("Pad", grad, crops, role="cropped")


def _returned(
    emit: Emitter, value: ir.Value, axis: int, low: int, high: int, mode: str
) -> ir.Value:
    """``value`` without the borders along an axis, which are added to what they are copies of."""
    core = _cut(emit, value, axis, low, -high or _END)
    for width, bounds, goal in (
        (low, (0, low), {"edge": (0, 1), "reflect": (1, 1 + low), "wrap": (-low, _END)}),
        (high, (-high, _END), {"edge": (-1, _END), "reflect": (-1 - high, -1), "wrap": (0, high)}),
    ):
        if not width:
            continue
        border = _cut(emit, value, axis, *bounds)
        if mode == "edge":
            border = emit.op("ReduceSum", border, [axis], role="border", keepdims=1)
        elif mode == "reflect":
            border = _cut(emit, border, axis, -1, _BEFORE, -1)
        core = _added(emit, core, border, axis, *goal[mode])
    return core


def _cut(
    emit: Emitter, value: ir.Value, axis: int, start: int, end: int, step: int = 1
) -> ir.Value:
    if (start, end, step) == (0, _END, 1):
        return value
    return emit.op("Slice", value, [start], [end], [axis], [step], role="part")


def _added(
    emit: Emitter, value: ir.Value, part: ir.Value, axis: int, start: int, end: int
) -> ir.Value:
    """``value`` with ``part`` added to the places from ``start`` to ``end`` along an axis."""
    pieces = [emit.op("Add", _cut(emit, value, axis, start, end), part, role="returned")]
    if start != 0:
        pieces.insert(0, _cut(emit, value, axis, 0, start))
    if end != _END:
        pieces.append(_cut(emit, value, axis, end, _END))
    return emit.op("Concat", *pieces, role="returned", axis=axis) if len(pieces) > 1 else pieces[0]
