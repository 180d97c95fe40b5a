"""This module gives PyTorch's exporter translations of pools.

The exporter itself turns an adaptive max pool to one place into ``amax``, which has the same value
but shares the gradient among ties, and it refuses one whose windows differ in size. It ignores the
``divisor_override`` of an average pool.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias

import torch
from onnxscript import opset18
from onnxscript.function_libs.torch_lib.ops import nn as torchlib

from ..errors import CaptureError

op: Any = opset18  # its types know no Python numbers, which it converts

# Start and end of a window along each axis.
_Window: TypeAlias = tuple[tuple[int, int], ...]


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """The table for ``torch.onnx.export(custom_translation_table=...)``."""
    aten = torch.ops.aten
    return {
        aten.adaptive_max_pool2d.default: _adaptive_max_pool,
        aten.adaptive_max_pool3d.default: _adaptive_max_pool,
        aten.avg_pool2d.default: _divided(2, torchlib.aten_avg_pool2d),
        aten.avg_pool3d.default: _divided(3, torchlib.aten_avg_pool3d),
    }


def _divided(rank: int, average: Callable[..., Any]) -> Callable[..., Any]:
    """An average pool that knows ``divisor_override``: the sum of a window over that number.

    Args:
        rank: Number of spatial axes.
        average: The exporter's own translation.
    """

    def translate(
        x: Any, kernel_size: Sequence[int], stride: Sequence[int] = (), padding: Any = 0,
        ceil_mode: bool = False, count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> Any:  # fmt: skip
        if divisor_override is None:
            return average(x, kernel_size, stride, padding, ceil_mode, count_include_pad)
        if ceil_mode:
            raise CaptureError(
                "an average pool with divisor_override and ceil_mode has no operator in ONNX; "
                "leave one of the two out"
            )
        mean = average(x, kernel_size, stride, padding, False, True)
        sides = [*kernel_size] * (1 if len(kernel_size) == rank else rank)
        return op.Mul(mean, math.prod(sides) / divisor_override)

    return translate


def _adaptive_max_pool(x: Any, output_size: Sequence[int]) -> tuple[Any, Any]:
    """The maxima of windows of nearly equal size, and their indices in the flat space.

    Args:
        x: [C, *space] or [N, C, *space].
        output_size: The extents of the result's ``space``.

    Raises:
        CaptureError: The space is open, and the result has more than one place.
    """
    rank = len(output_size)
    whole = x if len(x.shape) == rank + 2 else op.Unsqueeze(x, [0])
    space = [*x.shape][-rank:]
    if all(count == 1 for count in output_size):
        maxima, indices = op.GlobalMaxPool(whole), _first_place(whole, rank)
    elif not all(isinstance(extent, int) for extent in space):
        raise CaptureError(
            f"an adaptive max pool to {' x '.join(map(str, output_size))} needs a fixed image "
            "size; export with dynamic_size=False"
        )
    elif all(extent % count == 0 for extent, count in zip(space, output_size, strict=True)):
        sides = [extent // count for extent, count in zip(space, output_size, strict=True)]
        maxima, indices = op.MaxPool(whole, kernel_shape=sides, strides=sides)
        indices = op.Mod(indices, math.prod(space))  # they count through N and C
    else:
        pairs = zip(space, output_size, strict=True)
        windows = [*itertools.product(*(_windows(*pair) for pair in pairs))]
        parts = [_cut(whole, window) for window in windows]
        found = [
            _in_whole(_first_place(part, rank), window, space)
            for part, window in zip(parts, windows, strict=True)
        ]
        maxima = _joined([op.GlobalMaxPool(part) for part in parts], output_size)
        indices = _joined(found, output_size)
    if whole is x:
        return maxima, indices
    return op.Squeeze(maxima, [0]), op.Squeeze(indices, [0])


def _windows(extent: int, count: int) -> list[tuple[int, int]]:
    """Start and end of ``count`` windows that cover ``extent`` cells, as PyTorch chooses them."""
    return [(i * extent // count, -(-(i + 1) * extent // count)) for i in range(count)]


def _cut(x: Any, window: _Window) -> Any:
    starts, ends = zip(*window, strict=True)
    return op.Slice(x, [*starts], [*ends], [*range(2, 2 + len(window))])


def _first_place(x: Any, rank: int) -> Any:
    """The flat index of the first maximum over the space, [N, C, 1, ...]."""
    place = op.ArgMax(op.Reshape(x, [0, 0, -1]), axis=2, keepdims=1)
    return op.Unsqueeze(place, [*range(3, 2 + rank)])


def _in_whole(place: Any, window: _Window, space: Sequence[int]) -> Any:
    """Flat indices in a window as flat indices in the whole space."""
    total, stride = None, math.prod(space)
    step = math.prod(end - start for start, end in window)
    for (start, end), extent in zip(window, space, strict=True):
        stride, step = stride // extent, step // (end - start)
        along = op.Add(op.Mod(op.Div(place, step), end - start), start)
        part = op.Mul(along, stride)
        total = part if total is None else op.Add(total, part)
    return total


def _joined(parts: list[Any], output_size: Sequence[int]) -> Any:
    """One value of all places, row by row."""
    for axis in reversed(range(len(output_size))):
        count = output_size[axis]
        groups = [parts[i : i + count] for i in range(0, len(parts), count)]
        parts = [op.Concat(*group, axis=2 + axis) if count > 1 else group[0] for group in groups]
    return parts[0]
