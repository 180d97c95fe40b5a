"""`work_of` counts a node's multiplications and the bytes that it moves, from shapes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import prod

from ..profile import Call, NodeTime, Tensor
from .saved_graph import SavedNode

# The place of the weight among the inputs; its shape is [channels out, channels in / groups, ...].
_CONVOLUTIONS = {
    "Conv": 1, "FusedConv": 1, "NhwcFusedConv": 1, "ConvInteger": 1, "QLinearConv": 3,
}  # fmt: skip
_TRANSPOSED = "ConvTranspose"
_PRODUCTS = frozenset({
    "MatMul", "FusedMatMul", "Gemm", "FusedGemm", "GemmFloat8", "MatMulInteger",
    "MatMulIntegerToFloat", "DynamicQuantizeMatMul", "QLinearMatMul", "QGemm", "MatMulNBits",
})  # fmt: skip
MULTIPLYING = frozenset({*_CONVOLUTIONS, _TRANSPOSED, *_PRODUCTS})
UNCOUNTED = frozenset({
    "Attention", "MultiHeadAttention", "GroupQueryAttention", "QAttention", "PackedAttention",
    "LSTM", "GRU", "RNN", "Einsum", "DeformConv",
})  # fmt: skip
"""Operators that multiply matrices, too, but are not counted."""
# They give the same memory another shape, read a shape only, or pass on to what they hold.
_STILL = frozenset({
    "Reshape", "Squeeze", "Unsqueeze", "Flatten", "Identity", "Shape", "Size", "If", "Loop", "Scan",
})  # fmt: skip
# They read of their first input only what they give.
_PICKING = frozenset({"Gather", "GatherND", "GatherElements", "Slice"})
_BYTES = {
    "bool": 1, "uint8": 1, "int8": 1, "uint16": 2, "int16": 2, "float16": 2, "bfloat16": 2,
    "int64": 8, "uint64": 8, "double": 8,
}  # fmt: skip


@dataclass(frozen=True)
class Work:
    """What a node does in a run.

    Attributes:
        macs: Multiplications, each with an addition; None: the shape of the weight is unknown.
            Channels that ONNX Runtime's blocked layout pads (to 8 or 16) count.
        bytes: Size of its inputs and outputs.
    """

    macs: int | None
    bytes: int


def work_of(node: NodeTime, saved: SavedNode | None) -> Work | None:
    """Count all calls of a node.

    Args:
        node: The node in ONNX Runtime's profile.
        saved: The same node in the optimised graph, which knows its packed weights; None: unknown.

    Returns:
        The work; None if the profile has no shapes.
    """
    if node.calls is None:
        return None
    macs: int | None = 0
    moved = 0
    for call in node.calls:
        inputs = _with_weights(call, saved)
        count = _multiplications(node.operator, inputs, call.outputs)
        macs = None if macs is None or count is None else macs + count
        moved += _moved(node.operator, inputs, call.outputs)
    return Work(macs, moved)


def _with_weights(call: Call, saved: SavedNode | None) -> list[Tensor]:
    """Return all inputs: the profile lacks weights that are packed for the processor."""
    if saved is None or len(call.inputs) >= len(saved.inputs):
        return call.inputs
    listed, found = list(call.inputs), list[Tensor]()
    for name in saved.inputs:
        weight = saved.weights.get(name)
        if listed and (weight is None or listed[0] == weight):
            found.append(listed.pop(0))
        elif weight is not None:
            found.append(weight)
    return found


def _multiplications(
    operator: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]
) -> int | None:
    if operator not in MULTIPLYING:
        return 0
    if not inputs or not outputs:
        return None
    first, result = inputs[0].shape, outputs[0].shape
    if operator in _PRODUCTS:
        return prod(result) * _inner(first, result)
    place = _CONVOLUTIONS.get(operator, 1)
    weight = inputs[place].shape if len(inputs) > place else ()
    if len(weight) != len(first):
        return None
    # Each entry of the larger side in question meets one window of the weight.
    return prod(first if operator == _TRANSPOSED else result) * prod(weight[1:])


def _inner(first: Sequence[int], result: Sequence[int]) -> int:
    """Return the extent that a matrix product sums over; its first factor may be transposed."""
    transposed = (
        1 < len(first) <= len(result) and first[-2] != result[-2] and first[-1] == result[-2]
    )
    return first[-2] if transposed else first[-1] if first else 1


def _moved(operator: str, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> int:
    if operator in _STILL:
        return 0
    read, written = [_size(one) for one in inputs], sum(_size(one) for one in outputs)
    if operator in _PICKING and read:
        read[0] = min(read[0], written)
    return sum(read) + written


def _size(tensor: Tensor) -> int:
    return _BYTES.get(tensor.dtype, 4) * prod(tensor.shape)
