"""Pooling by a norm."""

from __future__ import annotations

import math
from collections.abc import Sequence

import onnx_ir as ir

from ..adjoint import Adjoint, Result
from ..emitter import Emitter
from .common import fold, int_attribute, only_input, unfold, where
from .pool import slide
from .registry import Needed, vjp
from .window import has_window, window_of


@vjp("LpPool", since=11, check=has_window)
def lp_pool(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``sign(x) |x|^(p-1)`` times the sum of ``g / y^(p-1)`` over the windows that hold the cell.

    0 from windows whose norm is 0.
    """
    x, out = only_input(node), node.outputs[0]
    window, p = window_of(node), int_attribute(node, "p", 2)
    share = _share(emit, grad.value, out, p)
    sums = unfold(emit, slide(emit, fold(emit, share, out), x, out, window), x)
    return [Adjoint(emit.op("Mul", sums, _slope(emit, x, p)), math.prod(window.kernel))]


@vjp("GlobalLpPool", since=2)
def global_lp_pool(emit: Emitter, node: ir.Node, grad: Adjoint, needed: Needed) -> Sequence[Result]:
    """``g sign(x) |x|^(p-1) / y^(p-1)``; 0 where the norm is 0."""
    x, p = only_input(node), int_attribute(node, "p", 2)
    share = _share(emit, grad.value, node.outputs[0], p)
    return [emit.op("Mul", share, _slope(emit, x, p))]


def _share(emit: Emitter, grad: ir.Value, norm: ir.Value, p: int) -> ir.Value:
    """``g / y^(p-1)``; 0 where the norm is 0."""
    if p == 1:
        return grad
    none = emit.op("Equal", norm, emit.scalar(0.0, norm), role="none", dtype=ir.DataType.BOOL)
    some = where(emit, none, emit.scalar(1.0, norm), norm)
    power = emit.op("Pow", some, emit.scalar(p - 1.0, norm), role="power")
    return where(emit, none, emit.scalar(0.0, norm), emit.op("Div", grad, power))


def _slope(emit: Emitter, x: ir.Value, p: int) -> ir.Value:
    """``sign(x) |x|^(p-1)``."""
    if p == 1:
        return emit.op("Sign", x)
    if p == 2:
        return x
    size = emit.op("Pow", emit.op("Abs", x, role="size"), emit.scalar(p - 1.0, x))
    return emit.op("Mul", emit.op("Sign", x), size, role="slope")
