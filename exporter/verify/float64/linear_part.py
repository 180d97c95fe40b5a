"""Operators that are linear in their data: ONNX Runtime's float32 kernel computes differences.

The difference from the point where derivatives are taken has float32's relative precision, however
small it is.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np
import onnx
from onnx import helper

from .kernels import Array, Evaluate, Kernels, wide

# Of a node's data and all that it reads, by name.
_Function: TypeAlias = Callable[[Array, Mapping[str, Any]], list[Any]]
# Linear in their first input while the others stay, but for a constant.
_LINEAR = frozenset(
    {"Conv", "ConvTranspose", "AveragePool", "GlobalAveragePool", "Resize", "Upsample",
     "GridSample", "Col2Im"}
)  # fmt: skip


def by_difference(
    kernels: Kernels, proto: onnx.NodeProto, opsets: Mapping[str, int], values: Mapping[str, Any]
) -> Evaluate | None:
    """A linear node near ``values``; None for any other."""
    data = _data_of(kernels, proto) if proto.op_type in _LINEAR else None
    kernel = kernels.evaluate(proto, opsets, values, np.float32)
    if data is None or kernel is None:
        return None
    moved = _near(values[data], lambda x, now: kernel({**now, data: x}), values)
    return lambda now: moved(now[data], now)


def by_powers(
    kernels: Kernels, proto: onnx.NodeProto, opsets: Mapping[str, int], values: Mapping[str, Any]
) -> Evaluate | None:
    """An LpPool near ``values``: the p-th power of its norm is the sum of the p-th powers.

    The LpPool with p = 1 gives sums of what is not negative.
    """
    data = _data_of(kernels, proto) if proto.op_type == "LpPool" else None
    if data is None:
        return None
    attributes = {one.name: one for one in proto.attribute}
    power = attributes.pop("p", helper.make_attribute("p", 2)).i
    sums = onnx.NodeProto()
    sums.CopyFrom(proto)
    del sums.attribute[:]
    sums.attribute.extend([*attributes.values(), helper.make_attribute("p", 1)])
    kernel = kernels.evaluate(sums, opsets, values, np.float32)
    if kernel is None:
        return None

    def total(x: Array, now: Mapping[str, Any]) -> list[Any]:
        above, below = (kernel({**now, data: np.maximum(one, 0)})[0] for one in (x, -x))
        return [wide(above) - wide(below)]

    moved = _near(np.abs(values[data]) ** power, total, values)

    def norms(now: Mapping[str, Any]) -> list[Any]:
        (powers,) = moved(np.abs(now[data]) ** power, now)
        return [np.maximum(powers, 0) ** (1 / power)]

    return norms


def _data_of(kernels: Kernels, proto: onnx.NodeProto) -> str | None:
    """The first input's name, if it is the only one that varies."""
    first = proto.input[0] if proto.input else None
    return first if kernels.varying & {*proto.input} == {first} else None


def _near(point: Array, linear: _Function, values: Mapping[str, Any]) -> _Function:
    """A function in float32 that is linear but for a constant, as precise as float64 at a point."""
    at_point = [wide(one) for one in linear(point, values)]
    constant = [wide(one) for one in linear(np.zeros_like(point), values)]

    def evaluate(x: Array, now: Mapping[str, Any]) -> list[Any]:
        difference = x - point
        size = float(np.abs(difference).max(initial=0.0))
        if not size or not np.isfinite(size):
            return [one + size for one in at_point]
        scale = 2.0 ** math.frexp(size)[1]  # a power of two changes no digit
        moved = linear(difference / scale, now)
        return [
            start + scale * (wide(one) - none)
            for start, one, none in zip(at_point, moved, constant, strict=True)
        ]

    return evaluate
