"""This module gives PyTorch's exporter translations that it lacks or gets wrong."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from onnxscript import opset18

from .torch_pools import translations as of_pools

op: Any = opset18  # its types know no Python numbers, which it converts


def translations() -> dict[Callable[..., Any], Callable[..., Any]]:
    """The table for ``torch.onnx.export(custom_translation_table=...)``."""
    return {**of_pools(), torch.ops.aten._is_all_true.default: _is_all_true}


def _is_all_true(x: Any) -> Any:
    """Whether all entries are true, as models assert of what they compute (D-FINE)."""
    return op.Cast(op.ReduceMin(op.Cast(x, to=6), keepdims=0), to=9)
