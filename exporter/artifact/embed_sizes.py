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
    if transform.resize_mode in ("fit", "cover"):
        return _scaled(emit, transform, size)
    height, width = size
    short, long = emit.op("Min", height, width), emit.op("Max", height, width)
    if transform.resize_mode == "shorter":
        # The other side is cut to an integer.
        short, long = target, emit.op("Div", emit.op("Mul", long, target), short)
        if transform.longest is not None:
            most = emit.ints([transform.longest])
            less = emit.op("Div", emit.op("Mul", most, short), long)
            over = emit.op("Greater", long, most, shape=[1])
            short = emit.op("Where", over, emit.op("Max", less, [1]), short, shape=[1])
            long = emit.op("Min", long, most)
    else:
        ratio = emit.op("Div", _real(emit, long), _real(emit, target))
        short, long = _divided(emit, short, ratio), target
    wide = emit.op("LessOrEqual", height, width, shape=[1])
    return (
        emit.op("Where", wide, short, long, shape=[1]),
        emit.op("Where", wide, long, short, shape=[1]),
    )


def _scaled(emit: Emitter, transform: Preprocess, size: Pair) -> Pair:
    """Both sides divided by the larger ratio for ``fit``, by the smaller one for ``cover``."""
    assert transform.resize is not None
    sides = (emit.ints(transform.resize[:1]), emit.ints(transform.resize[-1:]))
    down, across = (
        emit.op("Div", _real(emit, length), _real(emit, side))
        for length, side in zip(size, sides, strict=True)
    )
    ratio = emit.op("Max" if transform.resize_mode == "fit" else "Min", down, across)
    return _divided(emit, size[0], ratio), _divided(emit, size[1], ratio)


def _divided(emit: Emitter, length: ir.Value, ratio: ir.Value) -> ir.Value:
    """``length / ratio``, rounded as Python does; 1 or more."""
    quotient = emit.op("Div", _real(emit, length), ratio)
    return emit.op("Max", _whole(emit, emit.op("Round", quotient)), [1])


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
    never = transform.resize_mode in ("exact", "cover") or (
        transform.resize_mode == "shorter" and transform.longest is None
    )
    if resize is not None and never:
        sides = (resize[0], resize[-1])
        if all(side >= final for side, final in zip(sides, transform.size, strict=True)):
            return None
    before: list[ir.Value] = []
    after: list[ir.Value] = []
    for length, final in zip(size, transform.size, strict=True):
        missing = emit.op("Max", emit.op("Sub", [final], length), [0])
        top_left = transform.anchor == "top_left"
        before.append(emit.ints([0]) if top_left else emit.op("Div", missing, [2]))
        after.append(emit.op("Sub", missing, before[-1]))
    # For all axes: ONNX Runtime's transpose optimiser overlooks Pad's own list of axes.
    return emit.vector([0, 0, *before, 0, 0, *after])


def crop_bounds(emit: Emitter, transform: Preprocess, size: Pair) -> tuple[ir.Value, ir.Value]:
    """Starts and ends of the crop of the padded image; halves are rounded as `Preprocess` says."""
    if transform.anchor == "top_left":
        return emit.ints([0, 0]), emit.ints(transform.size)
    starts: list[ir.Value] = []
    for length, final in zip(size, transform.size, strict=True):
        over = emit.op("Max", emit.op("Sub", length, [final]), [0])
        real = _real(emit, over)
        half = emit.op("Mul", real, 0.5)
        rounding = "Floor" if transform.anchor == "lower" else "Round"
        starts.append(_whole(emit, emit.op(rounding, half)))
    start = emit.vector(starts)
    return start, emit.op("Add", start, transform.size)


def _real(emit: Emitter, length: ir.Value) -> ir.Value:
    return emit.cast(length, _DOUBLE, "real")


def _whole(emit: Emitter, number: ir.Value) -> ir.Value:
    return emit.cast(number, _INT64, "whole")
