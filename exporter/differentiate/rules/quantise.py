"""These rules differentiate quantisation: integer codes, ``y = scale (code - zero_point)``.

A staircase has no useful derivative. The rules differentiate the line that it follows
(straight-through, Bengio et al., 2013), so a code carries a float cotangent although it is an
integer: the derivative of the score with respect to it as if there were codes in between.
"""

from __future__ import annotations

from functools import reduce

import numpy as np
import onnx_ir as ir

from ...graph.attributes import only_input
from ...graph.emitter import Emitter, constant_of, dims_of
from ...graph.expression import Expression
from ...graph.value_range import cutting_ends
from ..cotangent import Cotangent, Cotangents
from ..registry import Needed, vjp

_CODES = (ir.DataType.INT8, ir.DataType.UINT8, ir.DataType.INT16, ir.DataType.UINT16)


def _plain(code: ir.Value, node: ir.Node) -> str | None:
    if code.dtype not in _CODES:
        kind = "an unknown type" if code.dtype is None else code.dtype.name
        return f"codes of {kind} have no gradient rule; only integers of 8 and 16 bits have"
    if node.attributes.get_int("block_size", 0):
        return "block_size has no gradient rule; quantise per tensor or per channel"
    if only_input(node, 1).shape is None:
        return "the rank of its scale is unknown; write its shape into the model"
    return None


def _plain_output(node: ir.Node) -> str | None:
    return _plain(node.outputs[0], node)


def _plain_input(node: ir.Node) -> str | None:
    return _plain(only_input(node), node)


def _scale(emit: Emitter, node: ir.Node) -> float | ir.Value:
    """The scale: a number where one constant serves the whole tensor, else shaped to broadcast."""
    scale, rank = only_input(node, 1), len(dims_of(node.outputs[0]))
    known = constant_of(scale)
    if known is not None and known.size == 1:
        return float(known.item())
    if not dims_of(scale):
        return scale
    ones = [1] * (rank - 1 - node.attributes.get_int("axis", 1) % rank)
    return emit.op("Reshape", scale, [-1, *ones], role="scale", shape=[*dims_of(scale), *ones])


@vjp("DequantizeLinear", since=10, inputs=(0,), lazy=True, quantised=True, check=_plain_input)
def dequantize(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g scale``."""
    return [g * _scale(emit, node)]


@vjp("QuantizeLinear", since=10, inputs=(0,), lazy=True, quantised=True, check=_plain_output)
def quantize(emit: Emitter, node: ir.Node, g: Cotangent, needed: Needed) -> Cotangents:
    """``g / scale`` where the code lies between the ends of its type, else 0.

    A code at an end counts as cut off if numbers beyond the end can reach the quantiser. Quantisers
    leave ReLU and Clip to these ends, whose gradients exclude their bounds too. The input would
    distinguish a number cut off from one rounded to the end, but reading it prevents ONNX Runtime's
    integer kernels: it fuses convolution and quantiser only if nothing else uses the value between
    (2.4 times the time of a small CNN, and other logits).
    """
    code, (low, high) = node.outputs[0], cutting_ends(node)
    assert code.dtype is not None
    if not (low or high):
        return [g / _scale(emit, node)]
    ends = np.iinfo(code.dtype.numpy())
    # CUDA compares no smaller integers.
    number = Expression(emit, emit.cast(code, ir.DataType.INT32, "number"))
    sides = [number.exceeds(ends.min)] * low + [number.below(ends.max)] * high
    inside = reduce(lambda a, b: emit.op("And", a, b, role="inside", shape=dims_of(code)), sides)
    return [g.where(inside) / _scale(emit, node)]
