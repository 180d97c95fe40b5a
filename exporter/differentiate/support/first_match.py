"""`max_pool_by_mask` is the adjoint of a MaxPool in operators that every provider has."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import product

import numpy as np
import onnx_ir as ir

from ...graph.emitter import Emitter, dims_of, parts_of
from .convolution import conv_adjoint
from .strided import padded
from .values import times_extent, where
from .window import Window

_COMPARED = {ir.DataType.FLOAT, ir.DataType.FLOAT16, ir.DataType.DOUBLE}


def max_pool_by_mask(
    emit: Emitter, grad: ir.Value, x: ir.Value, out: ir.Value, window: Window
) -> ir.Value:
    """Each window's cotangent at its first maximum, [K * N * C, 1, *in].

    The cells of all windows are read as one strided slice for each place in the window, and the
    running maximum over them gives the first place. The pool's own output is not used, since ONNX
    Runtime may compute it in another precision. Cotangents are masked by place, and a ConvTranspose
    (or, at stride 1, a Conv) moves each place's to its cell.

    Args:
        emit: Where nodes are added.
        grad: Cotangent of the pool, [K, N, C, *out].
        x: The pool's input.
        out: Its output.
        window: Its window.
    """
    count = math.prod(window.kernel)
    masked = emit.op("Unsqueeze", grad, [3], role="by_place")
    if count > 1:
        place = _first_place(emit, _read(emit, x, out, window))
        place = emit.op("Unsqueeze", place, [2], role="place")
        numbers = np.arange(count).reshape(-1, *[1] * len(window.kernel))
        same = emit.op("Equal", place, emit.constant(numbers, place.dtype), role="first")
        masked = where(emit, same, masked)
    folded = emit.op("Reshape", masked, [-1, count, *parts_of(out)[2:]], role="folded")
    moves = emit.constant(np.eye(count).reshape(count, 1, *window.kernel), grad.dtype)
    return conv_adjoint(emit, folded, x, out, moves, window, 1)


def _first_place(emit: Emitter, cells: Sequence[ir.Value]) -> ir.Value:
    """Number of the first of ``cells`` with the largest value."""
    best, place = cells[0], emit.scalar(0, cells[0])
    for number, cell in enumerate(cells[1:], start=1):
        above = emit.op("Greater", cell, best, role="above")
        here = emit.scalar(number, cell)
        place = emit.op("Where", above, here, place, role="place")
        if number < len(cells) - 1:
            best = emit.op("Where", above, cell, best, role="best")
    return place


def _read(emit: Emitter, x: ir.Value, out: ir.Value, window: Window) -> list[ir.Value]:
    """The windows' cells at each of their places, row by row: [N, C, *out] each.

    Padding is the lowest number, which no cell is below.
    """
    # Codes of a quantiser have the order of their numbers.
    value = x if x.dtype in _COMPARED else emit.cast(x, ir.DataType.FLOAT, "codes")
    assert value.dtype is not None
    lowest = emit.scalar(float(np.finfo(value.dtype.numpy()).min), value)
    pairs = zip(window.before, _beyond(x, out, window), strict=True)
    widths = {2 + axis: pair for axis, pair in enumerate(pairs)}
    value = padded(emit, value, len(dims_of(x)), widths, lowest)
    # One place of all windows spans (windows - 1) * stride + 1 cells.
    spans = emit.vector(
        [times_extent(emit, n, s) for n, s in zip(parts_of(out)[2:], window.strides, strict=True)]
    )
    axes, steps = emit.ints(range(2, len(dims_of(x)))), emit.ints(window.strides)
    cells: list[ir.Value] = []
    for place in product(*(range(k) for k in window.kernel)):
        first = [d * p for d, p in zip(window.dilations, place, strict=True)]
        last = [start - stride + 1 for start, stride in zip(first, window.strides, strict=True)]
        ends = shifted(emit, spans, last)
        cells.append(emit.op("Slice", value, first, ends, axes, steps, role="cells"))
    return cells


def shifted(emit: Emitter, vector: ir.Value, by: Sequence[int]) -> ir.Value:
    """An int64 vector plus constants; a constant where it is one."""
    if vector.const_value is not None:
        return emit.ints([int(n) + d for n, d in zip(vector.const_value.numpy(), by, strict=True)])
    return emit.op("Add", vector, by, role="ends") if any(by) else vector


def _beyond(x: ir.Value, out: ir.Value, window: Window) -> list[int]:
    """Cells that windows reach beyond the upper end of each axis; the most, where it is open."""
    reached: list[int] = []
    for axis, (extent, count) in enumerate(zip(dims_of(x)[2:], dims_of(out)[2:], strict=True)):
        stride = window.strides[axis]
        if isinstance(extent, int) and isinstance(count, int):
            last = (count - 1) * stride + window.reach[axis] - window.before[axis]
            reached.append(max(last + 1 - extent, 0))
        else:
            # ceil_mode adds less than a stride.
            reached.append(window.after[axis] + stride - 1)
    return reached
