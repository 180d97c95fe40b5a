"""This module reads off an ONNX graph what its outputs show of scores, for `score_rules`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from ..graph.attributes import constant_ints
from ..graph.emitter import Dim, constant_of, dims_of
from ..graph.queries import ancestors
from .score_rules import OutputFacts

SQUEEZED = 0  # the axis of channels that an output no longer has
_DEPTH = 64  # nodes that are read behind an output
_CHANNELS_FIRST = frozenset({"Conv", "ConvTranspose", "ConvInteger", "QLinearConv"})
_CHANNELS_LAST = frozenset({"Gemm", "MatMul", "QLinearMatMul", "MatMulInteger"})
_REDUCTIONS = frozenset({"ReduceMean", "ReduceSum", "ReduceMax", "ReduceL2"})
_MOVES = _REDUCTIONS | {"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}
_PROBABILITIES = frozenset({"Softmax", "LogSoftmax", "Sigmoid"})
# Operators that keep every axis where it is; the first input of the result's rank shows it.
_KEEP = frozenset(
    {"Identity", "Cast", "Relu", "LeakyRelu", "Elu", "Tanh", "Clip", "Neg", "Exp", "Log", "Sqrt"}
    | {"Add", "Sub", "Mul", "Div", "Pow", "Where", "Slice", "Dropout", "Resize", "Pad", "Max"}
    | {"DequantizeLinear", "QuantizeLinear", "HardSigmoid", "HardSwish", "Softplus", "Erf", "Gelu"}
    | {"BatchNormalization", "LayerNormalization", "AveragePool", "MaxPool", "GlobalAveragePool"}
    | {"Softmax", "LogSoftmax", "Sigmoid", "Concat", "Split", "PRelu", "Min"}
)  # fmt: skip


def output_facts(graph: ir.Graph) -> list[OutputFacts]:
    """What the graph shows of each of its outputs."""
    behind = {value: ancestors(value) for value in graph.outputs}
    return [_facts(value, behind) for value in graph.outputs]


def batch_extents(graph: ir.Graph) -> frozenset[Dim]:
    """The extents that the batch has in the inputs."""
    shapes = [dims_of(value) for value in graph.inputs if value.shape is not None]
    return frozenset(shape[0] for shape in shapes if len(shape) > 1)


def ending_of(value: ir.Value) -> tuple[str, int | None]:
    """The operator that makes probabilities of an output, and the axis of a softmax in it.

    Operators between it and the output that move axes or change the type are looked through.
    """
    found = _ending(value)
    if found is None:
        return "", None
    node, path = found
    if node.op_type == "Sigmoid":
        return "Sigmoid", None
    rank = len(dims_of(node.outputs[0]))
    attribute = node.attributes.get("axis")
    axis = (-1 if attribute is None else attribute.as_int()) % rank
    for moved in reversed(path):
        after = _moved(moved, axis)
        if after is None:
            return node.op_type, None
        axis = after
    return node.op_type, axis


def _ending(value: ir.Value) -> tuple[ir.Node, list[ir.Node]] | None:
    path: list[ir.Node] = []
    node = value.producer()
    while node is not None and node.op_type not in _PROBABILITIES:
        if node.op_type not in _MOVES | {"Identity", "Cast"} or node.inputs[0] is None:
            return None
        path.append(node)
        node = node.inputs[0].producer()
    return None if node is None else (node, path)


def _facts(value: ir.Value, behind: dict[ir.Value, set[ir.Value]]) -> OutputFacts:
    ends_in, axis = ending_of(value)
    channels = _channels(value)
    feeds = [
        other.name or "" for other, before in behind.items()
        if other is not value and value in before
    ]  # fmt: skip
    return OutputFacts(
        value.name or "",
        None if value.shape is None else tuple(dims_of(value)),
        value.dtype is not None and value.dtype.is_floating_point(),
        ends_in,
        axis,
        channels.axis,
        channels.maker,
        channels.split,
        tuple(feeds),
    )


@dataclass(frozen=True)
class _Channels:
    """Where the channels of the last layer with weights lie; see `OutputFacts`."""

    axis: int | None = None
    maker: str = ""
    split: bool = False


def _channels(value: ir.Value, depth: int = _DEPTH) -> _Channels:
    """Follow the channels of the last layer with weights up to ``value``."""
    node = value.producer()
    if node is None or not depth or value.shape is None:
        return _Channels()
    rank = len(value.shape)
    if node.op_type in _CHANNELS_FIRST:
        return _Channels(1, node.op_type)
    if node.op_type in _CHANNELS_LAST:
        constant = node.op_type != "MatMul" or constant_of(node.inputs[1]) is not None
        return _Channels(rank - 1, node.op_type) if constant else _Channels()
    if node.op_type in _KEEP:
        for before in node.inputs:
            if before is None or constant_of(before) is not None or before.shape is None:
                continue
            if len(before.shape) == rank:
                found = _channels(before, depth - 1)
                if found.axis is not None:
                    return found
        return _Channels()
    if node.op_type not in _MOVES or node.inputs[0] is None:
        return _Channels()
    found = _channels(node.inputs[0], depth - 1)
    if not found.axis:  # unknown, or gone
        return found
    axis = _moved(node, found.axis)
    extents = dims_of(node.inputs[0])[found.axis], dims_of(value)[axis or 0]
    return replace(found, axis=axis, split=found.split or (bool(axis) and extents[0] != extents[1]))


def _moved(node: ir.Node, axis: int) -> int | None:
    """Where an axis of a node's first input lies in its result: `SQUEEZED` if it is gone."""
    before, result = node.inputs[0], node.outputs[0]
    if node.op_type in ("Identity", "Cast"):
        return axis
    if before is None or before.shape is None or result.shape is None:
        return None
    if node.op_type == "Transpose":
        perm = node.attributes.get("perm")
        order = list(range(len(before.shape)))[::-1] if perm is None else list(perm.as_ints())
        return order.index(axis)
    if node.op_type in _REDUCTIONS:
        keep = node.attributes.get("keepdims")
        axes = constant_ints(node.inputs[1]) if len(node.inputs) > 1 else None
        gone = {one % len(before.shape) for one in axes or ()}
        if axes is None or axis in gone:
            return None
        kept = keep is None or keep.as_int() == 1
        return axis if kept else axis - sum(one < axis for one in gone)
    return _reshaped(dims_of(before), dims_of(result), axis)


def _reshaped(before: Sequence[Dim], after: Sequence[Dim], axis: int) -> int | None:
    """Where an axis lies after a reshape; of one that is split, its last part.

    The numbers of entries behind an axis are the same before and after.
    """
    extent = before[axis]
    behind = _product(before[axis + 1 :])
    for place in range(len(after) - 1, 0, -1):
        size = after[place]
        if _product(after[place + 1 :]) == behind and (size != 1 or extent == 1):
            part = isinstance(size, int) and isinstance(extent, int) and not extent % size
            if size == extent or part:
                return place
    return SQUEEZED if extent == 1 else None


def _product(extents: Sequence[Dim]) -> tuple[int, tuple[str, ...]]:
    """The product of extents; open ones are kept as symbols."""
    known = math.prod(extent for extent in extents if isinstance(extent, int))
    return known, tuple(sorted(str(one) for one in extents if not isinstance(one, int)))
