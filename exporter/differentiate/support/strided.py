"""This module does the arithmetic of slices, and puts gaps of zeros between values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ...graph.attributes import constant_ints, only_input
from ...graph.emitter import Emitter, Extent, Part, dims_of, parts_of
from .values import times_extent

_REVERSED_END = -(2**31)  # below any index: a slice that runs backwards includes place 0


@dataclass(frozen=True)
class SliceRange:
    """Places that a slice takes from an axis.

    An open axis has no extent before run time, and a step of 1. Its first place may be counted from
    the end, as a negative number, and the count is that of the result.
    """

    first: int
    step: int
    count: int
    extent: int | None


def slice_range(start: int, end: int, step: int, extent: int) -> SliceRange:
    """Places that ONNX Slice takes: negative bounds count from the end, then all are clamped."""
    first, stop = (bound + extent if bound < 0 else bound for bound in (start, end))
    if step > 0:
        first, stop = min(max(first, 0), extent), min(max(stop, 0), extent)
    else:
        first, stop = min(max(first, 0), extent - 1), min(max(stop, -1), extent - 1)
    return SliceRange(first, step, len(range(first, stop, step)), extent)


def slice_ranges(node: ir.Node) -> dict[int, SliceRange]:
    """What a Slice node takes, by axis; axes that it takes whole are left out.

    Raises:
        ValueError: Bounds or the extent of a sliced axis are not known before run time.
    """
    dims = dims_of(only_input(node))
    read = [constant_ints(node.inputs[i]) if i < len(node.inputs) else [] for i in range(1, 5)]
    starts, ends, axes, steps = read
    if starts is None or ends is None or axes is None or steps is None:
        raise ValueError("its bounds are computed at run time; they must be constants")
    axes = [axis % len(dims) for axis in axes] or list(range(len(starts)))
    steps = steps or [1] * len(starts)
    ranges: dict[int, SliceRange] = {}
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        extent = dims[axis]
        if step == 1 and start == 0 and end >= 2**31 - 1:
            continue
        if isinstance(extent, int):
            ranges[axis] = slice_range(start, end, step, extent)
        elif step == 1:
            ranges[axis] = SliceRange(start, 1, 0, None)
        else:
            raise ValueError(
                f"the extent of axis {axis} is unknown; fix it by --shape or at export"
            )
    return ranges


def put_back(
    emit: Emitter,
    grad: ir.Value,
    out: ir.Value,
    ranges: Mapping[int, SliceRange],
    source: ir.Value,
) -> ir.Value:
    """Undo a slice: values at the places they came from, zeros elsewhere.

    Args:
        emit: Where nodes are added.
        grad: Cotangent [K, *dims of out].
        out: The slice.
        ranges: What was taken along each axis of ``out``.
        source: What was sliced.
    """
    backwards = [axis for axis, taken in ranges.items() if taken.step < 0]
    if backwards:
        last, end = [-1] * len(backwards), [_REVERSED_END] * len(backwards)
        grad = emit.op("Slice", grad, last, end, [1 + a for a in backwards], last, role="reversed")
    steps = [abs(ranges[axis].step) if axis in ranges else 1 for axis in range(len(dims_of(out)))]
    grad = stuff(emit, grad, emit.classes, parts_of(out), steps)
    widths: dict[int, tuple[int, int]] = {}
    for axis, taken in ranges.items():
        if taken.extent is None:
            continue
        before = min(taken.first, taken.first + taken.step * (taken.count - 1))
        widths[1 + axis] = before, taken.extent - before - taken.count * abs(taken.step)
    grad = padded(emit, grad, 1 + len(dims_of(out)), widths)
    for axis, taken in ranges.items():
        if taken.extent is None:
            grad = _put_back_open(emit, grad, out, source, axis, taken.first)
    return grad


def _put_back_open(
    emit: Emitter, grad: ir.Value, out: ir.Value, source: ir.Value, axis: int, first: int
) -> ir.Value:
    """Undo a slice of step 1 along an axis whose extents are read at run time."""
    whole, own = (emit.vector(parts_of(value, [axis])) for value in (source, out))
    if first >= 0:
        before = emit.op("Min", whole, [first], role="first")
    else:
        before = emit.op("Max", emit.op("Add", whole, [first]), [0], role="first")
    after = emit.op("Sub", emit.op("Sub", whole, own), before, role="after")
    rank = 1 + len(dims_of(out))
    none, rest = [0] * (1 + axis), [0] * (rank - 2 - axis)
    pads: list[Extent] = [*none, before, *rest, *none, after, *rest]
    return emit.op("Pad", grad, emit.vector(pads), role="padded")


def stuff(
    emit: Emitter, value: ir.Value, lead: Extent, parts: Sequence[Part], steps: Sequence[int]
) -> ir.Value:
    """Put ``step - 1`` zeros behind every element along each axis: n elements become n * step.

    Args:
        emit: Where nodes are added.
        value: Tensor [lead, *parts].
        lead: The leading extent; -1 to infer it.
        parts: The other extents.
        steps: One for each of ``parts``.
    """
    if all(step == 1 for step in steps):
        return value
    apart, gaps = [lead], dict[int, tuple[int, int]]()
    for part, step in zip(parts, steps, strict=True):
        apart.append(part)
        if step > 1:
            gaps[len(apart)] = (0, step - 1)
            apart.append(1)
    pairs = zip(parts, steps, strict=True)
    merged = [lead, *(part if n == 1 else times_extent(emit, part, n) for part, n in pairs)]
    spaced = emit.op("Reshape", value, apart, role="apart")
    spaced = padded(emit, spaced, len(apart), gaps)
    return emit.op("Reshape", spaced, merged, role="stuffed")


def padded(
    emit: Emitter,
    value: ir.Value,
    rank: int,
    widths: Mapping[int, tuple[int, int]],
    fill: ir.Value | None = None,
) -> ir.Value:
    """Zeros before and after along axes of ``value``, which has ``rank``; negative widths crop.

    ``fill`` replaces the zeros.

    The widths of all axes are spelled out: ONNX Runtime's transpose optimiser (seen in 1.31)
    overlooks Pad's ``axes`` input and breaks the graph.
    """
    widths = {axis: pair for axis, pair in widths.items() if pair != (0, 0)}
    if not widths:
        return value
    pairs = [widths.get(axis, (0, 0)) for axis in range(rank)]
    pads = emit.ints([*(before for before, _ in pairs), *(after for _, after in pairs)])
    return emit.op("Pad", value, pads, *([] if fill is None else [fill]), role="padded")


def cut(emit: Emitter, value: ir.Value, like: ir.Value, lead: int = 0) -> ir.Value:
    """``value`` cut to the spatial extents of ``like``, which are read at run time.

    ``lead`` axes come before the batch axis of ``value``.
    """
    axes = range(2, len(dims_of(like)))
    starts, own = emit.ints([0] * len(axes)), emit.ints([lead + axis for axis in axes])
    return emit.op("Slice", value, starts, parts_of(like, axes), own, role="cut")
