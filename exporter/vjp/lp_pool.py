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
    share = grad.value
    if p != 1:
        none = emit.op("Equal", out, emit.scalar(0.0, out), role="none", dtype=ir.DataType.BOOL)
        norm = where(emit, none, emit.scalar(1.0, out), out)
        power = emit.op("Pow", norm, emit.scalar(p - 1.0, out), role="power")
        share = where(emit, none, emit.scalar(0.0, out), emit.op("Div", share, power))
    sums = unfold(emit, slide(emit, fold(emit, share, out), x, out, window), x)
    if p == 1:
        slope = emit.op("Sign", x)
    elif p == 2:
        slope = x
    else:
        size = emit.op("Pow", emit.op("Abs", x, role="size"), emit.scalar(p - 1.0, x))
        slope = emit.op("Mul", emit.op("Sign", x), size, role="slope")
    return [Adjoint(emit.op("Mul", sums, slope), math.prod(window.kernel))]
