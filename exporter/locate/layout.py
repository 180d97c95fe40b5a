"""How a layer's output lies: which axis holds the channels, and on which grid tokens stand.

Artifacts are channel-first whatever the model uses. The channel axis is read off the operators
around the layer: a convolution works on axis 1, a layer normalisation or a matrix product on the
last one.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from ...runtime.spec import Layout
from ..errors import LayerError
from ..graph.emitter import Dim, constant_of, dims_of
from ..graph.queries import ancestors

_MAX_PREFIX = 16  # class, distillation and register tokens; no known model has more
_FEW_PREFIX = 2  # where the grid itself is a guess
_REACH = 64  # nodes looked at around a layer
_FIRST = frozenset(
    {"Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization", "MaxPool"}
    | {"GroupNormalization", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
)
_THROUGH = frozenset(
    {"Add", "Sub", "Mul", "Div", "Relu", "Sigmoid", "Tanh", "Erf", "Gelu", "Clip", "Identity"}
    | {"HardSwish", "HardSigmoid", "LeakyRelu", "Elu", "Dropout", "Cast", "Neg", "Exp", "Pow"}
)
Side = Literal["first", "last"]


@dataclass(frozen=True)
class Arrangement:
    """How a layer's output lies.

    Attributes:
        layout: Place of the channels; ``tokens`` is [N, prefix + h * w, C].
        grid: Spatial extents.
        prefix: Tokens before the grid.
    """

    layout: Layout
    grid: tuple[Dim, ...]
    prefix: int = 0


def arrange(name: str, value: ir.Value, graph: ir.Graph) -> Arrangement:
    """Work out the layout of a target layer.

    Raises:
        LayerError: The value has no usable layout; the message says what it has.
    """
    if value.shape is None or len(value.shape) < 3:
        shape = "an unknown shape" if value.shape is None else f"shape {dims_of(value)}"
        raise LayerError(
            f"layer {name!r} has {shape}; a map needs [batch, channels, *space] or tokens"
        )
    dims = dims_of(value)
    if value.is_graph_input():  # the activations that a head takes
        return Arrangement("channels_first", tuple(dims[2:]))
    leading = ancestors(value)
    inputs = [v for v in graph.inputs if v in leading and v.shape is not None and len(v.shape) > 1]
    batches = {dims_of(v)[0] for v in inputs}
    if batches and dims[0] not in batches:
        raise LayerError(
            f"layer {name!r} has shape {dims}: its first axis is not the batch (a window "
            "partition, perhaps); choose the layer that joins the windows again"
        )
    if len(dims) == 3 and all(len(dims_of(v)) != 3 for v in inputs):
        return _tokens(name, dims, leading, inputs)
    if _channel_side(value) == "last":
        return Arrangement("channels_last", tuple(dims[1:-1]))
    return Arrangement("channels_first", tuple(dims[2:]))


def _tokens(
    name: str, dims: Sequence[Dim], leading: set[ir.Value], inputs: Sequence[ir.Value]
) -> Arrangement:
    grids = [
        tuple(dims_of(value)[2:])
        for value in leading
        if (producer := value.producer()) is not None
        and producer.op_type == "Conv"
        and value.shape is not None
    ]
    pictures = [dims_of(v)[2:] for v in inputs if len(dims_of(v)) == 4]
    found = token_grid(dims[1], grids, tuple(pictures[0]) if pictures else ())
    if found is None:
        raise LayerError(
            f"layer {name!r} has shape {list(dims)}: its {dims[1]} tokens fit the grid of no "
            "convolution before it, nor patches of the picture; choose a layer with [batch, "
            "channels, height, width]"
        )
    grid, prefix = found
    return Arrangement("tokens", grid, prefix)


def token_grid(
    tokens: Dim, grids: Sequence[tuple[Dim, ...]], picture: tuple[Dim, ...] = ()
) -> tuple[tuple[int, ...], int] | None:
    """The grid that tokens stand on, and how many stand before it.

    Of the grids that earlier layers had, the largest one that leaves at most 16 tokens over; or a
    grid that thinning one of them out gives (LeViT takes every second token); or square patches
    of the picture (TNT cuts them without a convolution).

    Args:
        tokens: Their number.
        grids: Spatial extents of convolutions.
        picture: Spatial extents of the model's input.
    """
    if not isinstance(tokens, int):
        return None
    known = _static(grids)
    patches = {
        tuple(side // patch for side in sides)
        for sides in _static([picture])
        for patch in range(2, min(sides) + 1)
        if not any(side % patch for side in sides)
    }
    for found, most in ((known, _MAX_PREFIX), (halved(known), _FEW_PREFIX), (patches, _MAX_PREFIX)):
        over = [(tokens - math.prod(grid), grid) for grid in found if 1 < math.prod(grid) <= tokens]
        prefix, grid = min(over, default=(tokens, ()))
        # No more before the grid than on it: else EfficientViM's 25 states would be 3 x 3 places.
        if prefix <= min(most, math.prod(grid)):
            return grid, prefix
    return None


def _static(grids: Iterable[tuple[Dim, ...]]) -> set[tuple[int, ...]]:
    """Those of the grids that have two static sides."""
    sides = [tuple(side for side in grid if isinstance(side, int)) for grid in grids]
    return {grid for grid in sides if len(grid) == 2}


def halved(grids: Iterable[tuple[int, ...]]) -> set[tuple[int, ...]]:
    """The grids, and those that halving them again and again gives, rounded up or down."""
    found = set(grids)
    fresh = found
    while fresh:
        coarser = {tuple(side // 2 for side in grid) for grid in fresh}
        coarser |= {tuple(-(-side // 2) for side in grid) for grid in fresh}
        fresh = {grid for grid in coarser if min(grid) > 0} - found
        found |= fresh
    return found


def _channel_side(value: ir.Value) -> Side | None:
    """Which axis the nearest operators with an opinion take for the channels; None if none has."""
    rank = len(dims_of(value))
    queue, seen = deque([value]), {value}
    for _ in range(_REACH):
        if not queue:
            break
        current = queue.popleft()
        for node, forwards in _neighbours(current):
            side = _opinion(node, current, forwards, rank)
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


def _neighbours(value: ir.Value) -> Iterator[tuple[ir.Node, bool]]:
    """Nodes that use ``value`` (True) and the one that makes it (False)."""
    for use in value.uses():
        yield use.node, True
    producer = value.producer()
    if producer is not None:
        yield producer, False


def _opinion(node: ir.Node, value: ir.Value, forwards: bool, rank: int) -> Side | None:
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
