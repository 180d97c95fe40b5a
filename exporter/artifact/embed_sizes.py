"""This module computes the sizes of the embedded preprocessing at run time.

Integers are ``int64 [1]`` values. The formulas are those of ``runtime/inputs/preprocess.py``.
"""

from __future__ import annotations

from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from ...runtime.spec import Preprocess
from ..graph.emitter import Emitter

Pair: TypeAlias = tuple[ir.Value, ir.Value]
"""Height and width."""

_INT64, _DOUBLE = ir.DataType.INT64, ir.DataType.DOUBLE


def size_of(emit: Emitter, pixels: ir.Value) -> Pair:
    """Height and width of images [N, height, width, 3]."""
    height, width = (
        emit.op("Shape", pixels, role=role, shape=[1], start=axis, end=axis + 1)
        for axis, role in ((1, "height"), (2, "width"))
    )
    return height, width


def resized(emit: Emitter, transform: Preprocess, size: Pair) -> Pair:
    """Height and width after the resize step."""
    if transform.resize is None:
        return size
    target = emit.ints(transform.resize[:1])
    if transform.resize_mode == "exact":
        return target, emit.ints(transform.resize[-1:])
    height, width = size
    short, long = emit.op("Min", height, width), emit.op("Max", height, width)
    if transform.resize_mode == "shorter":
        # The other side is cut to an integer.
        short, long = target, emit.op("Div", emit.op("Mul", long, target), short)
    else:
        ratio = emit.op("Div", _real(emit, long), _real(emit, target))
        other = _whole(emit, emit.op("Round", emit.op("Div", _real(emit, short), ratio)))
        short, long = emit.op("Max", other, [1]), target
    wide = emit.op("LessOrEqual", height, width, shape=[1])
    return (
        emit.op("Where", wide, short, long, shape=[1]),
        emit.op("Where", wide, long, short, shape=[1]),
    )


def places_under(emit: Emitter, length: ir.Value, size: ir.Value) -> ir.Value:
    """Source index of each of ``size`` pixels, by pixel centres, summed up as Pillow does."""
    step = emit.op("Div", _real(emit, length), _real(emit, size))
    half = emit.op("Mul", step, 0.5)
    rest = emit.op("Expand", step, emit.op("Sub", size, [1]))
    steps = emit.op("Concat", half, rest, axis=0)
    return _whole(emit, emit.op("CumSum", steps, emit.constant(np.array(0))))


def pads(emit: Emitter, transform: Preprocess, size: Pair) -> ir.Value | None:
    """How much black is missing around the resized image, as Pad takes it; None: never any."""
    resize = transform.resize
    if resize is not None and transform.resize_mode != "longer":
        sides = (resize[0], resize[-1])
        if all(side >= final for side, final in zip(sides, transform.size, strict=True)):
            return None
    before: list[ir.Value] = []
    after: list[ir.Value] = []
    for length, final in zip(size, transform.size, strict=True):
        missing = emit.op("Max", emit.op("Sub", [final], length), [0])
        before.append(emit.op("Div", missing, [2]))
        after.append(emit.op("Sub", missing, before[-1]))
    # For all axes: ONNX Runtime's transpose optimiser overlooks Pad's own list of axes.
    return emit.vector([0, 0, *before, 0, 0, *after])


def crop_bounds(emit: Emitter, transform: Preprocess, size: Pair) -> tuple[ir.Value, ir.Value]:
    """Starts and ends of the centre crop of the padded image; halves are rounded to even."""
    starts: list[ir.Value] = []
    for length, final in zip(size, transform.size, strict=True):
        over = emit.op("Max", emit.op("Sub", length, [final]), [0])
        real = _real(emit, over)
        half = emit.op("Mul", real, 0.5)
        starts.append(_whole(emit, emit.op("Round", half)))
    start = emit.vector(starts)
    return start, emit.op("Add", start, transform.size)


def _real(emit: Emitter, length: ir.Value) -> ir.Value:
    return emit.cast(length, _DOUBLE, "real")


def _whole(emit: Emitter, number: ir.Value) -> ir.Value:
    return emit.cast(number, _INT64, "whole")
