"""This module finds what each operator adds to a linear map of its inputs: its bias.

A score is the sum of the input and of all biases, each times its own gradient (Srinivas and Fleuret
2019). A convolution's bias is a vector, that of a batch norm follows from its statistics. A curved
function ``y = f(x)`` has the implicit bias ``y - f'(x) x``, which is 0 for a ReLU.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Literal, TypeAlias

import numpy as np
import onnx_ir as ir

from ..differentiate.cotangent import Cotangent
from ..differentiate.rules.norms import per_channel
from ..graph.attributes import only_input
from ..graph.emitter import Emitter, constant_of, dims_of
from ..graph.expression import Expression
from ..graph.precision import SINGLE

Bias: TypeAlias = Literal["none", "added", "product", "curved"]

# Twice the input gives twice the output, and half the space before a kink stays before it.
_HOMOGENEOUS = frozenset({
    "Abs", "AveragePool", "Cast", "Concat", "DepthToSpace", "Dropout", "Expand", "Flatten",
    "Gather", "GatherElements", "GatherND", "GlobalAveragePool", "GlobalMaxPool", "Identity",
    "LeakyRelu", "MaxPool", "Neg", "PRelu", "ReduceMax", "ReduceMean", "ReduceMin", "ReduceSum",
    "Relu", "Reshape", "Resize", "Slice", "SpaceToDepth", "Split", "Squeeze", "Tile", "Transpose",
    "Unsqueeze", "Upsample",
})  # fmt: skip
_WEIGHTED = ("Conv", "ConvTranspose", "Gemm")
# Their result is [N, C, *space], whatever comes in.
_OF_MAPS = frozenset({
    "AveragePool", "BatchNormalization", "Conv", "ConvTranspose", "DepthToSpace",
    "GlobalAveragePool", "GlobalMaxPool", "GroupNormalization", "InstanceNormalization", "LRN",
    "MaxPool", "SpaceToDepth",
})  # fmt: skip
# They may give the axes another order or meaning.
_MOVING = frozenset({
    "Einsum", "Flatten", "Gather", "GatherND", "Gemm", "MatMul", "Reshape", "Squeeze", "Transpose",
    "Unsqueeze",
})  # fmt: skip


def bias_of(node: ir.Node, active: Collection[ir.Value]) -> Bias:
    """What kind of bias a node has, of whose inputs some are ``active``.

    ``added``: a number that it adds; ``product``: of active values, whose bias is ``-y``;
    ``curved``: another function, with an implicit bias.
    """
    operator, count = node.op_type, sum(value in active for value in node.inputs)
    beside = [value for value in node.inputs if value is not None and value not in active]
    if operator in _HOMOGENEOUS:
        return "none"
    if operator == "Pad":
        return "none" if _pads_with_zeros(node) else "curved"
    if operator == "Where":
        return "none" if all(map(_is_zero, beside[1:])) else "curved"
    if operator in _WEIGHTED:
        bias = node.inputs[2] if len(node.inputs) > 2 else None
        return "curved" if count > 1 else "none" if bias is None else "added"
    if operator == "BatchNormalization":
        return "added"
    if operator in ("Add", "Sub", "Sum"):
        return "added" if beside else "none"
    if operator in ("Mul", "MatMul"):
        return "product" if count > 1 else "none"
    if operator == "Div":
        return "curved" if node.inputs[1] in active else "none"
    if operator in ("Max", "Min"):
        return "curved" if beside else "none"
    return "curved"


def _pads_with_zeros(node: ir.Node) -> bool:
    value = node.inputs[2] if len(node.inputs) > 2 else None
    constant = node.attributes.get_string("mode", "constant") == "constant"
    return value is None or not constant or _is_zero(value)


def _is_zero(value: ir.Value) -> bool:
    array = constant_of(value)
    return array is not None and not np.any(array)


def values_laid_out(
    nodes: Sequence[ir.Node], image: ir.Value, *, channels_last: bool
) -> frozenset[ir.Value]:
    """The values of ``nodes`` that are laid out as [N, C, *space], with as many axes as an image.

    That is known of the results of convolutions, norms and pools, and of an image without
    ``channels_last``, and stays so until an operator moves axes.
    """
    rank, found = len(dims_of(image)), set[ir.Value]() if channels_last else {image}
    for node in nodes:
        known = node.op_type in _OF_MAPS or (
            node.op_type not in _MOVING and any(value in found for value in node.inputs)
        )
        for value in node.outputs:
            if known and value.shape is not None and len(dims_of(value)) == rank:
                found.add(value)
    return frozenset(found)


def term_of(
    emit: Emitter, node: ir.Node, bias: Bias, g: Cotangent,
    results: Sequence[tuple[ir.Value, Cotangent]], scale: float,
) -> Expression:  # fmt: skip
    """The bias of a node's first output times its gradient, float32 [K, *dims].

    Args:
        emit: Where nodes are added.
        node: The node.
        bias: From `bias_of`; not ``none``.
        g: The cotangent of its output.
        results: What it hands on to its inputs, each with the value that it is of.
        scale: How much larger than gradients cotangents are.
    """
    slope, y = in_numbers(emit, g, scale), node.outputs[0]
    given = {value for value, _ in results}
    # A fused rule skips nodes, such as the gate of SiLU: then this is the end of a curved function.
    if bias == "product" and not given.issubset(node.inputs):
        bias = "curved"
    if bias == "product" and len(given) == len({*node.inputs}):
        return slope * _single(emit, y) * -1.0
    if bias in ("product", "curved"):
        term = slope * _single(emit, y)
        for value, result in results:
            term = term - in_numbers(emit, result, scale) * _single(emit, value)
        return term
    return slope * _added(emit, node, given)


def in_numbers(emit: Emitter, g: Cotangent, scale: float) -> Expression:
    """A cotangent as gradients, float32 [K, *dims]."""
    whole = (g.with_zeros() / scale).through(Emitter.cast, SINGLE, "single")
    return Expression(emit, whole.dense())


def _single(emit: Emitter, value: ir.Value) -> ir.Value:
    return emit.cast(value, SINGLE, "single")


def _added(emit: Emitter, node: ir.Node, active: Collection[ir.Value]) -> ir.Value:
    """What a node adds to the weighted sum of its active inputs."""
    rank = len(dims_of(node.outputs[0]))
    if node.op_type == "BatchNormalization":
        return _shift(emit, node, rank)
    if node.op_type in _WEIGHTED:
        bias = _single(emit, only_input(node, 2))
        if node.op_type == "Gemm":
            return emit.op("Mul", bias, node.attributes.get_float("beta", 1.0), role="bias")
        return per_channel(emit, bias, rank)
    total: ir.Value | None = None
    for place, value in enumerate(node.inputs):
        if value is None or value in active:
            continue
        part = _single(emit, value)
        part = emit.op("Neg", part, role="bias") if node.op_type == "Sub" and place else part
        total = part if total is None else emit.op("Add", total, part, role="bias")
    assert total is not None
    return total


def _shift(emit: Emitter, node: ir.Node, rank: int) -> ir.Value:
    """``B - scale mean / sqrt(var + epsilon)`` of a BatchNormalization, by channel."""
    given = [only_input(node, place) for place in range(1, 5)]
    epsilon, arrays = node.attributes.get_float("epsilon", 1e-5), [*map(constant_of, given)]
    if any(array is None for array in arrays):
        scale, shift, mean, variance = (Expression(emit, _single(emit, one)) for one in given)
        root = (variance + epsilon).op("Sqrt")
        return per_channel(emit, (shift - scale * mean / root).value, rank)
    scale, shift, mean, variance = (
        array.astype(np.float64) for array in arrays if array is not None
    )
    bias = shift - scale * mean / np.sqrt(variance + epsilon)
    return emit.constant(bias.reshape(-1, *[1] * (rank - 2)), SINGLE)
