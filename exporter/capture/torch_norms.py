"""This module gives PyTorch's exporter translations that keep what PyTorch's gradients are at 0.

The exporter writes a standard deviation as the square root of a variance, whose derivative at 0 is
infinite, where PyTorch's own gradient is 0; and it puts the zeros of ``xlogy`` in place of a
product, whose derivative at 0 is then another one.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir
import torch
from onnxscript import opset18

op: Any = opset18  # its types know no Python numbers, which it converts

_SIXTEEN_BITS = (ir.DataType.FLOAT16, ir.DataType.BFLOAT16)


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """The table for ``torch.onnx.export(custom_translation_table=...)``."""
    aten = torch.ops.aten
    products = dict.fromkeys(
        (aten.xlogy.Tensor, aten.xlogy.Scalar_Self, aten.xlogy.Scalar_Other), _xlogy
    )
    return {
        aten.std.correction: _std,
        aten.std_mean.correction: _std_mean,
        aten.special_xlog1py.default: _xlog1py,
        **products,
    }


def _std(
    x: Any, dim: Sequence[int] | None = None, correction: float | None = None, keepdim: bool = False
) -> Any:
    """A standard deviation: the length of the differences from the mean, over a number.

    The length has a gradient at 0, which is 0, as that of PyTorch's ``std``.
    """
    return _std_mean(x, dim, correction, keepdim)[0]


def _std_mean(
    x: Any, dim: Sequence[int] | None = None, correction: float | None = None, keepdim: bool = False
) -> tuple[Any, Any]:
    """The same with the mean; 16 bits are computed in float32, as PyTorch does."""
    wide = op.Cast(x, to=ir.DataType.FLOAT) if x.dtype in _SIXTEEN_BITS else x
    axes = [*dim] if dim else [*range(len(x.shape))]
    mean = op.ReduceMean(wide, axes, keepdims=1)
    length = op.ReduceL2(op.Sub(wide, mean), axes, keepdims=int(keepdim))
    deviation = op.Div(length, _root_of_count(x, length, axes, correction))
    if not keepdim:
        mean = op.Squeeze(mean, axes)
    return (deviation, mean) if wide is x else (op.CastLike(deviation, x), op.CastLike(mean, x))


def _root_of_count(x: Any, like: Any, axes: Sequence[int], correction: float | None) -> Any:
    """The square root of the number of elements along ``axes``, less the correction (1)."""
    correction = 1 if correction is None else correction
    extents = [x.shape[axis] for axis in axes]
    if all(isinstance(extent, int) for extent in extents):
        return math.sqrt(max(math.prod(extents) - correction, 0))
    count = op.ReduceProd(op.Gather(op.Shape(x), [*axes], axis=0), keepdims=0)
    return op.Sqrt(op.Sub(op.CastLike(count, like), float(correction)))


def _xlogy(x: Any, y: Any) -> Any:
    """``x log(y)``, 0 where ``x`` is 0 and ``log(y)`` is not finite; as a product everywhere."""
    x, y = _tensors(x, y)
    endless = op.And(op.Equal(x, 0.0), op.LessOrEqual(y, 0.0))
    return op.Mul(x, op.Log(op.Where(endless, 1.0, y)))


def _xlog1py(x: Any, y: Any) -> Any:
    """``x log(1 + y)``, likewise."""
    x, y = _tensors(x, y)
    return _xlogy(x, op.Add(y, 1.0))


def _tensors(x: Any, y: Any) -> tuple[Any, Any]:
    """Both as tensors; one may be a Python number."""
    if isinstance(x, (int, float)):
        x = op.CastLike(op.Constant(value_float=float(x)), y)
    elif isinstance(y, (int, float)):
        y = op.CastLike(op.Constant(value_float=float(y)), x)
    return x, y
