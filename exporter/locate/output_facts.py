"""This module reads off an ONNX graph what its outputs show of scores, for `score_rules`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import onnx_ir as ir

from ..graph.attributes import constant_ints
from ..graph.emitter import Dim, constant_of, dims_of
from ..graph.extents import product_of
from ..graph.queries import inputs_of
from .score_rules import OutputFacts

SQUEEZED = 0  # the axis of channels that an output no longer has
_DEPTH = 64  # nodes that are read behind an output
_CHANNELS_FIRST = frozenset({"Conv", "ConvTranspose", "ConvInteger", "QLinearConv"})
_CHANNELS_LAST = frozenset({"Gemm", "MatMul", "QLinearMatMul", "MatMulInteger"})
_REDUCTIONS = frozenset({"ReduceMean", "ReduceSum", "ReduceMax", "ReduceL2"})
_MEANS = ("ReduceMean", "ReduceSum", "ReduceMax")
_MOVES = _REDUCTIONS | {"Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"}
_TURNS = frozenset({"Identity", "Cast", "Transpose", "Reshape", "Flatten", "Squeeze", "Unsqueeze"})
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
    feeds = _feeds(graph)
    return [_facts(value, feeds[value]) for value in graph.outputs]


def batch_extents(graph: ir.Graph) -> frozenset[Dim]:
    """The batch's extents in the inputs: of their first axes, unless others are named so."""
    shapes = [dims_of(value) for value in graph.inputs if value.shape is not None]
    named = {dim for shape in shapes for dim in shape if isinstance(dim, str) and "batch" in dim}
    return frozenset(named or (shape[0] for shape in shapes if len(shape) > 1))


@dataclass(frozen=True)
class Ending:
    """The operator that makes probabilities of a value.

    Attributes:
        node: A Softmax, LogSoftmax or Sigmoid.
        moves: What follows it and only moves axes or changes the type, the first one first.
        axis: The axis of the value along which a softmax sums up to 1; None for a Sigmoid, and
            where the moves break it up.
    """

    node: ir.Node
    moves: tuple[ir.Node, ...]
    axis: int | None

    @property
    def op_type(self) -> str:
        """The operator."""
        return self.node.op_type


def ending_of(value: ir.Value) -> Ending | None:
    """Find the operator that makes probabilities of a value; None if there is none.

    ONNX's converter of opsets writes the Softmax of opset 11 as Flatten, Softmax, Reshape.
    """
    moves: list[ir.Node] = []
    node = value.producer()
    while node is not None and node.op_type not in _PROBABILITIES and len(moves) <= _DEPTH:
        if node.inputs[0] is None or not (node.op_type in _TURNS or _reduces_nothing(node)):
            return None
        moves.append(node)
        node = node.inputs[0].producer()
    if node is None or len(moves) > _DEPTH:
        return None
    moves.reverse()
    if node.op_type == "Sigmoid":
        return Ending(node, tuple(moves), None)
    rank = len(dims_of(node.outputs[0]))
    attribute = node.attributes.get("axis")
    axis: int | None = (-1 if attribute is None else attribute.as_int()) % rank
    for moved in moves:
        axis = None if axis is None else _moved(moved, axis)
    return Ending(node, tuple(moves), axis)


def _reduces_nothing(node: ir.Node) -> bool:
    """Whether a reduction only takes axes of one entry away."""
    before = node.inputs[0]
    if node.op_type not in _MEANS or len(node.inputs) < 2 or before is None:
        return False
    axes = constant_ints(node.inputs[1])
    if axes is None or before.shape is None:
        return False
    return all(dims_of(before)[axis] == 1 for axis in axes)


def logits_of(graph: ir.Graph, ending: Ending) -> ir.Value:
    """What an ending makes probabilities of, moved as they are.

    Where something moves the probabilities, its nodes are repeated on the logits.
    """
    value = ending.node.inputs[0]
    assert value is not None
    for node in ending.moves:
        if node.op_type == "Identity":
            continue
        copy = ir.node(node.op_type, [value, *node.inputs[1:]], dict(node.attributes))
        result, before = copy.outputs[0], node.outputs[0]
        copy.name, result.name = f"{before.name}/logits_of", f"{before.name}/logits"
        result.type, result.shape = before.type, before.shape
        graph.append(copy)
        value = result
    return value


def _feeds(graph: ir.Graph) -> dict[ir.Value, list[str]]:
    """For each output of a graph, the names of the others that depend on it."""
    own = {value: 1 << place for place, value in enumerate(graph.outputs)}
    before = {value: own.get(value, 0) for value in graph.inputs}  # a bit for each output
    for node in graph:
        bits = 0
        for value in inputs_of(node):
            bits |= before.get(value, 0)
        before.update((value, bits | own.get(value, 0)) for value in node.outputs)
    return {
        value: [
            other.name or "" for other in own if other is not value and before.get(other, 0) & bit
        ]
        for value, bit in own.items()
    }


def _facts(value: ir.Value, feeds: Sequence[str]) -> OutputFacts:
    ending = ending_of(value)
    channels = _channels(value, {})
    return OutputFacts(
        value.name or "",
        None if value.shape is None else tuple(dims_of(value)),
        value.dtype is not None and value.dtype.is_floating_point(),
        "" if ending is None else ending.op_type,
        None if ending is None else ending.axis,
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


def _channels(value: ir.Value, read: dict[ir.Value, _Channels], depth: int = _DEPTH) -> _Channels:
    """Follow the channels of the last layer with weights up to ``value``.

    Each value is read once: residual branches meet again and again.
    """
    if value not in read:
        read[value] = _channels_of(value, read, depth)
    return read[value]


def _channels_of(value: ir.Value, read: dict[ir.Value, _Channels], depth: int) -> _Channels:
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
        told = [
            _channels(before, read, depth - 1) for before in node.inputs
            if before is not None and constant_of(before) is None
            and before.shape is not None and len(before.shape) == rank
        ]  # fmt: skip
        known = [one for one in told if one.axis is not None]
        return next((one for one in known if one.axis != SQUEEZED), next(iter(known), _Channels()))
    if node.op_type not in _MOVES or node.inputs[0] is None:
        return _Channels()
    found = _channels(node.inputs[0], read, depth - 1)
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
    if (
        isinstance(extent, int)
        and extent > 1
        and list(after[: axis + 1]) == list(before[: axis + 1])
    ):
        return axis
    behind = product_of(before[axis + 1 :])
    for place in range(len(after) - 1, 0, -1):
        size = after[place]
        if product_of(after[place + 1 :]) == behind and (size != 1 or extent == 1):
            part = isinstance(size, int) and isinstance(extent, int) and not extent % size
            if size == extent or part:
                return place
    return SQUEEZED if extent == 1 else None
