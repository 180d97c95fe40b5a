"""This module gives PyTorch's exporter translations that it lacks or gets wrong."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from onnxscript import opset18
from onnxscript.function_libs.torch_lib.ops import nn as torchlib

from .torch_norms import translations as of_norms
from .torch_pools import translations as of_pools

op: Any = opset18  # its types know no Python numbers, which it converts


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """The table for ``torch.onnx.export(custom_translation_table=...)``."""
    aten, own = torch.ops.aten, torchlib
    return {
        **of_pools(),
        **of_norms(),
        aten._is_all_true.default: _is_all_true,
        aten.erfc.default: _erfc,
        aten.special_erfc.default: _erfc,
        aten._upsample_bilinear2d_aa.default: _scaled("linear", own.aten__upsample_bilinear2d_aa),
        aten._upsample_bicubic2d_aa.default: _scaled("cubic", own.aten__upsample_bicubic2d_aa),
    }


def _is_all_true(x: Any) -> Any:
    """Whether all entries are true, as models assert of what they compute (D-FINE)."""
    return op.Cast(op.ReduceMin(op.Cast(x, to=6), keepdims=0), to=9)


def _erfc(x: Any) -> Any:
    """``1 - erf(x)``."""
    return op.Sub(1.0, op.Erf(x))


def _scaled(mode: str, by_size: Callable[..., Any]) -> Callable[..., Any]:
    """An antialiased resize by scales, where PyTorch has them.

    Its filter is placed and widened by the scales that the model gave. The exporter only knows the
    extents, which are rounded.

    Args:
        mode: Of ONNX's Resize.
        by_size: The exporter's own translation.
    """

    def translate(
        x: Any, output_size: Sequence[Any], align_corners: bool,
        scales_h: float | None = None, scales_w: float | None = None,
    ) -> Any:  # fmt: skip
        if align_corners or scales_h is None or scales_w is None:
            return by_size(x, output_size, align_corners)
        scales = op.Constant(value_floats=[1.0, 1.0, scales_h, scales_w])
        return op.Resize(
            x, None, scales, None, mode=mode, coordinate_transformation_mode="half_pixel",
            cubic_coeff_a=-0.5, antialias=1, exclude_outside=1,
        )  # fmt: skip

    return translate
