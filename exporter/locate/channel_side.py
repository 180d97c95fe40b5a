"""`channel_side` reads off the operators around a value on which side its channels are."""

from __future__ import annotations

from collections import deque
from typing import Literal

import onnx_ir as ir

from ..graph.emitter import constant_of, dims_of

_REACH = 64  # nodes that are read around a layer
_FIRST = frozenset(
    {"Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization", "MaxPool"}
    | {"GroupNormalization", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
)
_THROUGH = frozenset(
    {"Add", "Sub", "Mul", "Div", "Relu", "Sigmoid", "Tanh", "Erf", "Gelu", "Clip", "Identity"}
    | {"HardSwish", "HardSigmoid", "LeakyRelu", "Elu", "Dropout", "Cast", "Neg", "Exp", "Pow"}
)
Side = Literal["first", "last"]


def is_of_convolution(value: ir.Value) -> bool:
    """Whether each place of a value is computed from that place of a convolution's result alone."""
    rank, queue, seen = len(dims_of(value)), [value], {value}
    for _ in range(_REACH):
        if not queue:
            return True
        node = queue.pop().producer()
        if node is None:
            return False
        if node.op_type in _FIRST:
            continue
        moved = node.op_type == "Transpose" and _side_shown(node, node.outputs[0], False, rank)
        if not (moved or node.op_type in _THROUGH | {"LayerNormalization", "MatMul"}):
            return False
        before = [v for v in node.inputs if v is not None and constant_of(v) is None]
        if any(v.shape is None or len(v.shape) != rank for v in before):
            return False
        queue += [v for v in before if v not in seen]
        seen.update(before)
    return False


def channel_side(value: ir.Value) -> Side | None:
    """The side of the channels that the nearest operators show; None if none shows one."""
    rank = len(dims_of(value))
    queue, seen = deque([value]), {value}
    for _ in range(_REACH):
        if not queue:
            break
        current = queue.popleft()
        around = [(use.node, True) for use in current.uses()]
        if (maker := current.producer()) is not None:
            around.append((maker, False))
        for node, forwards in around:
            side = _side_shown(node, current, forwards, rank)
            if side is not None:
                return side
            if node.op_type in _THROUGH:
                fresh = [
                    v
                    for v in (*node.inputs, *node.outputs)
                    if v is not None and v not in seen and v.shape and len(v.shape) == rank
                ]
                seen.update(fresh)
                queue.extend(fresh)
    return None


def _side_shown(node: ir.Node, value: ir.Value, forwards: bool, rank: int) -> Side | None:
    if node.op_type in _FIRST:
        return "first"
    if node.op_type == "LayerNormalization":
        axis = node.attributes["axis"].as_int() if "axis" in node.attributes else -1
        return "last" if axis in (-1, rank - 1) else None
    if node.op_type == "MatMul":
        weights = constant_of(node.inputs[1])
        acts = not forwards or node.inputs[0] is value
        return "last" if weights is not None and weights.ndim == 2 and acts else None
    if node.op_type == "ReduceMean" and forwards:
        axes = constant_of(node.inputs[1]) if len(node.inputs) > 1 else None
        chosen = set() if axes is None else {int(axis) % rank for axis in axes.reshape(-1)}
        if chosen == set(range(2, rank)):
            return "first"
        return "last" if chosen == set(range(1, rank - 1)) else None
    if node.op_type == "Transpose" and "perm" in node.attributes:
        perm = [int(axis) for axis in node.attributes["perm"].as_ints()]
        to_last = perm == [0, *range(2, rank), 1]
        to_first = perm == [0, rank - 1, *range(1, rank - 1)]
        if to_last or to_first:
            return "first" if to_last == forwards else "last"
    return None
