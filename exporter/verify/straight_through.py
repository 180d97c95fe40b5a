"""This module gives the ONNX reference evaluator quantisers that finite differences can follow.

The differences of a staircase are zero or infinite. So a quantiser rounds once, at the current
point, and then adds to that code the line that the staircase follows. The values at the point are
those of the quantised model, and their differences those of the straight-through surrogate that
graftcam differentiates. A code at an end of its type stays.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
from onnx.reference.op_run import OpRun

Array = npt.NDArray[Any]


def _beside(parameter: Array, value: Array, axis: int) -> Array:
    """A scale or zero point, per tensor or per channel, shaped to broadcast against ``value``."""
    if parameter.size == 1:
        return parameter.reshape(())
    return parameter.reshape([-1, *[1] * (value.ndim - 1 - axis % value.ndim)])


class QuantizeLinear(OpRun):
    """Rounds on its first call; later calls move off that point along a line."""

    op_domain = ""
    _point: Array | None = None

    def _run(
        self, x: Array, scale: Array, zero: Array | None = None, axis: int = 1, **_: Any
    ) -> tuple[Array]:
        scale = _beside(scale, x, axis)
        if self._point is None:
            kind = np.dtype(np.uint8) if zero is None else zero.dtype
            ends = np.iinfo(kind)
            shift = 0 if zero is None else _beside(zero, x, axis).astype(x.dtype)
            self._point = x
            self._code = np.clip(np.rint(x / scale) + shift, ends.min, ends.max)
            self._inside = (self._code > ends.min) & (self._code < ends.max)
        return (self._code + np.where(self._inside, (x - self._point) / scale, 0.0),)


class DequantizeLinear(OpRun):
    """``scale (code - zero_point)`` in the scale's type, for codes that are no integers too."""

    op_domain = ""

    def _run(
        self, code: Array, scale: Array, zero: Array | None = None, axis: int = 1, **_: Any
    ) -> tuple[Array]:
        scale = _beside(scale, code, axis)
        shift = 0 if zero is None else _beside(zero, code, axis).astype(scale.dtype)
        return (np.asarray((code.astype(scale.dtype) - shift) * scale),)
