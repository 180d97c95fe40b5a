"""`range_of` bounds the numbers that a value can hold, by interval arithmetic on its producers."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
import onnx_ir as ir

from .emitter import constant_of

Range: TypeAlias = tuple[float, float]
ANY: Range = (-math.inf, math.inf)

# Operators whose results are elements or means of their first input, or lie between two of them.
_WITHIN = frozenset(
    {"Identity", "Cast", "Dropout", "Reshape", "Flatten", "Squeeze", "Unsqueeze", "Transpose"}
    | {"Slice", "Split", "Gather", "GatherND", "Expand", "Tile", "MaxPool", "GlobalMaxPool"}
    | {"GlobalAveragePool", "ReduceMean", "ReduceMax", "ReduceMin", "DepthToSpace", "SpaceToDepth"}
)
_FIXED: dict[str, Range] = {
    "Sigmoid": (0.0, 1.0), "HardSigmoid": (0.0, 1.0), "Softmax": (0.0, 1.0), "Tanh": (-1.0, 1.0),
    "HardSwish": (-0.375, math.inf), "Swish": (-0.2785, math.inf), "Gelu": (-0.171, math.inf),
}  # fmt: skip
_FAR = 64  # producers in a row
_KEPT = "graftcam.cutting_ends"


def range_of(value: ir.Value | None) -> Range:
    """The smallest and the largest number that a value can hold, as far as its producers show."""
    return _range_of(value, _FAR, {})


def _range_of(value: ir.Value | None, far: int, found: dict[ir.Value | None, Range]) -> Range:
    """The same, where ``far`` producers in a row are followed, and each value once."""
    if value not in found:
        found[value] = _read(value, far, found)
    return found[value]


def _read(value: ir.Value | None, far: int, found: dict[ir.Value | None, Range]) -> Range:
    known = constant_of(value)
    if known is not None and known.size:
        return float(known.min()), float(known.max())
    node = None if value is None else value.producer()
    if node is None or far == 0:
        return ANY
    if node.op_type in _FIXED:
        return _FIXED[node.op_type]
    if node.op_type == "DequantizeLinear":
        return _of_codes(node)
    count = _READ.get(node.op_type, 0)
    parts = [_range_of(one, far - 1, found) for one in node.inputs[:count]]
    return _RULES[node.op_type](parts) if parts else ANY


def _of_codes(node: ir.Node) -> Range:
    code, scale = node.inputs[0], constant_of(node.inputs[1])
    zero = constant_of(node.inputs[2]) if len(node.inputs) > 2 else np.zeros(1, np.int64)
    if code is None or code.dtype is None or scale is None or zero is None:
        return ANY
    if not code.dtype.is_integer() or code.dtype.bitwidth > 16:
        return ANY
    low, high = code_ends(code.dtype)
    steps = scale.astype(np.float64)
    least = (low - zero.astype(np.float64)) * steps
    return float(least.min()), float(((high - zero.astype(np.float64)) * steps).max())


def code_ends(kind: ir.DataType) -> tuple[int, int]:
    """The smallest and the largest integer of a type."""
    unsigned = kind.name.startswith("UINT")
    half = 2 ** (kind.bitwidth - 1)
    return (0, 2 * half - 1) if unsigned else (-half, half - 1)


def cutting_ends(quantiser: ir.Node) -> tuple[bool, bool]:
    """Whether numbers beyond a quantiser's smallest and largest code can reach it.

    A code at an end stands for them too: there the gradient is cut off. Behind a ReLU or a mean of
    numbers that have none below 0, code 0 is a number like any other.
    """
    if _KEPT in quantiser.meta:
        return quantiser.meta[_KEPT]
    x, scale, code = quantiser.inputs[0], constant_of(quantiser.inputs[1]), quantiser.outputs[0]
    zero = constant_of(quantiser.inputs[2]) if len(quantiser.inputs) > 2 else np.zeros(1)
    if scale is None or zero is None or scale.size != 1 or zero.size != 1 or code.dtype is None:
        return True, True
    low, high = code_ends(code.dtype)
    smallest, largest = range_of(x)
    step, shift = float(scale.item()), float(zero.item())
    # Numbers within half a step of an end are rounded to it; they are not cut off.
    return smallest < (low - 0.5 - shift) * step, largest > (high + 0.5 - shift) * step


def keep_ends(whole: ir.Graph, part: ir.Graph) -> None:
    """Let the quantisers of a part, cut out of a graph, keep the ends that they have in it."""
    known = {n.outputs[0].name: n for n in whole if n.op_type == "QuantizeLinear"}
    for node in part:
        if node.op_type == "QuantizeLinear" and node.outputs[0].name in known:
            node.meta[_KEPT] = cutting_ends(known[node.outputs[0].name])


def _first(parts: Sequence[Range]) -> Range:
    return parts[0]


def _relu(parts: Sequence[Range]) -> Range:
    return max(0.0, parts[0][0]), max(0.0, parts[0][1])


def _clip(parts: Sequence[Range]) -> Range:
    (low, high), bounds = parts[0], parts[1:]
    floor = bounds[0][0] if bounds else -math.inf
    ceiling = bounds[1][1] if len(bounds) > 1 else math.inf
    return min(max(low, floor), ceiling), min(max(high, floor), ceiling)


def _sum(parts: Sequence[Range]) -> Range:
    return sum(low for low, _ in parts), sum(high for _, high in parts)


def _product(parts: Sequence[Range]) -> Range:
    one, other = parts
    ends = [0.0 if 0.0 in (a, b) else a * b for a in one for b in other]
    return min(ends), max(ends)


def _union(parts: Sequence[Range]) -> Range:
    return min(low for low, _ in parts), max(high for _, high in parts)


def _with_zero(parts: Sequence[Range]) -> Range:
    """Of padded zeros beside the first input."""
    return _union([*parts[:1], (0.0, 0.0)])


_RULES: dict[str, Callable[[Sequence[Range]], Range]] = {
    **dict.fromkeys(_WITHIN, _first),
    "Relu": _relu,
    "Clip": _clip,
    "Add": _sum,
    "Mul": _product,
    "Concat": _union,
    "AveragePool": _with_zero,
}
_READ = {"Add": 2, "Mul": 2, "Clip": 3, "Concat": 1_000_000} | dict.fromkeys(
    {*_WITHIN, "Relu", "AveragePool"}, 1
)
