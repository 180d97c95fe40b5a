"""This module finds the layout of a layer's output: the axis of channels, the grid of tokens.

Artifacts are channel-first whatever the model uses. The channel axis is read off the operators
around the layer: a convolution works on axis 1, a layer normalisation or a matrix product on the
last one.
"""

from __future__ import annotations

import itertools
import math
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import onnx_ir as ir

from ..errors import LayerError
from ..graph.emitter import Dim, constant_of, dims_of
from ..graph.queries import inputs_of
from .arrangement import Arrangement

_MAX_PREFIX = 16  # class, distillation and register tokens; no known model has more
_FEW_PREFIX = 2  # where the grid itself is a guess
_REACH = 64  # nodes that are read around a layer
_MOST_GRIDS = 256  # of convolutions before a value; models have a few dozen
_FIRST = frozenset(
    {"Conv", "ConvTranspose", "BatchNormalization", "InstanceNormalization", "MaxPool"}
    | {"GroupNormalization", "AveragePool", "GlobalAveragePool", "GlobalMaxPool"}
)
_THROUGH = frozenset(
    {"Add", "Sub", "Mul", "Div", "Relu", "Sigmoid", "Tanh", "Erf", "Gelu", "Clip", "Identity"}
    | {"HardSwish", "HardSigmoid", "LeakyRelu", "Elu", "Dropout", "Cast", "Neg", "Exp", "Pow"}
)
_BY_SHAPE = frozenset({"Shape", "Size"})  # they read how large a value is, not what it holds
Side = Literal["first", "last"]


@dataclass(frozen=True)
class Reading:
    """What the graph around a value shows of its layout.

    Attributes:
        on_batch: Whether the first axis is the batch of the model's inputs.
        tokens: Whether it consists of tokens, [N, tokens, C].
        options: The layouts that it may have, the most plausible first; none where no grid fits
            the tokens.
        certain: Whether the operators around leave no doubt.
    """

    on_batch: bool
    tokens: bool
    options: tuple[Arrangement, ...]
    certain: bool = False

    @property
    def found(self) -> Arrangement | None:
        """The most plausible layout."""
        return self.options[0] if self.options else None


@dataclass(frozen=True)
class Lineage:
    """What a value is computed from.

    Attributes:
        inputs: Inputs of the graph with two axes or more, in their order.
        grids: Extents of the convolutions on the way, its own included.
        joined: Where the model puts other tokens behind the image's, its own or those of a text:
            the number of tokens before them, theirs, and the number behind them.
        content: Whether it depends on what the inputs hold, not only on how large they are.
    """

    inputs: tuple[ir.Value, ...] = ()
    grids: frozenset[tuple[Dim, ...]] = frozenset()
    joined: frozenset[tuple[int, int, int]] = frozenset()
    content: bool = True

    @property
    def has_image(self) -> bool:
        """Whether it depends on what an image holds."""
        return self.content and any(len(dims_of(one)) > 3 for one in self.inputs)


def lineages(graph: ir.Graph) -> dict[ir.Value, Lineage]:
    """The lineage of every value of a graph."""
    ports = [value for value in graph.inputs if value.shape is not None and len(value.shape) > 1]
    found = {value: Lineage((value,)) for value in ports}
    for node in graph:
        before = [found[value] for value in inputs_of(node) if value in found]
        inputs = _in_order(ports, [one.inputs for one in before])
        grids = _union([one.grids for one in before])
        joined = frozenset(_joined(node, found)).union(*(one.joined for one in before))
        content = node.op_type not in _BY_SHAPE and any(one.content for one in before)
        for value in node.outputs:
            own = node.op_type == "Conv" and value.shape is not None
            more = frozenset({tuple(dims_of(value)[2:])} if own else ())
            every = _union([grids, more]) if len(grids) < _MOST_GRIDS else grids
            found[value] = Lineage(inputs, every, joined, content)
    return found


def _union(sets: Sequence[frozenset[tuple[Dim, ...]]]) -> frozenset[tuple[Dim, ...]]:
    """The union of sets; one of them itself where it holds the others, as in most nodes."""
    largest = max(sets, key=len, default=frozenset[tuple[Dim, ...]]())
    return largest if all(one <= largest for one in sets) else largest.union(*sets)


def _in_order(
    ports: Sequence[ir.Value], inputs: Sequence[tuple[ir.Value, ...]]
) -> tuple[ir.Value, ...]:
    """The ports that are in one of several tuples, which have the order of the ports."""
    longest = max(inputs, key=len, default=())
    known = {*longest}
    if all(known.issuperset(one) for one in inputs if one is not longest):
        return longest
    known.update(*inputs)
    return tuple(port for port in ports if port in known)


def _joined(node: ir.Node, found: Mapping[ir.Value, Lineage]) -> set[tuple[int, int, int]]:
    """Tokens before, of and behind the image, if a node joins the image's with others.

    Others are the model's own, or those of a text that is given with the image.
    """
    if node.op_type != "Concat" or any(one is None or one.shape is None for one in node.inputs):
        return set()
    parts = [one for one in node.inputs if one is not None]
    counts = [dims_of(one)[1] for one in parts if len(dims_of(one)) == 3]
    of_image = [one in found and found[one].content for one in parts]
    if sum(of_image) > 1:
        of_image = [one in found and found[one].has_image for one in parts]
    numbers = [count for count in counts if isinstance(count, int)]
    along = node.attributes["axis"].as_int() in (1, -2)
    if not along or len(numbers) < len(parts) or sum(of_image) != 1:
        return set()
    place = of_image.index(True)
    behind = sum(numbers[place + 1 :])
    return {(sum(numbers[:place]), numbers[place], behind)} if behind else set()


def read_layout(value: ir.Value, lineage: Lineage) -> Reading:
    """Read the layout of a value, of three axes or more, off the graph around it."""
    dims = dims_of(value)
    first = Arrangement("channels_first", tuple(dims[2:]))
    if value.is_graph_input():  # the activations that a head takes
        return Reading(on_batch=True, tokens=False, options=(first,), certain=True)
    inputs = [dims_of(one) for one in lineage.inputs]
    on_batch = not inputs or dims[0] in {shape[0] for shape in inputs}
    side = _channel_side(value)
    if len(dims) == 3:
        options = rows_or_tokens(dims, inputs, lineage.grids, side, lineage.joined)
        tokens = side != "first" if _flat(inputs) else True
        certain = options[:1] == (first,) and side == "first"
        return Reading(on_batch, tokens, options, certain)
    last = Arrangement("channels_last", tuple(dims[1:-1]))
    options = {"first": (first,), "last": (last, first)}.get(side or "", (first, last))
    if side is None:  # attention weights [N, heads, tokens, tokens] are like both
        known = lineage.grids | halved(static_grids(lineage.grids))
        options = tuple(one for one in options if one.grid in known) or options
    certain = side == "first" or (side == "last" and _of_convolution(value))
    return Reading(on_batch, tokens=False, options=options, certain=certain)


def _of_convolution(value: ir.Value) -> bool:
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


def rows_or_tokens(
    dims: Sequence[Dim],
    inputs: Sequence[Sequence[Dim]],
    grids: Collection[tuple[Dim, ...]],
    side: Side | None,
    joined: Iterable[tuple[int, int, int]] = (),
) -> tuple[Arrangement, ...]:
    """The layouts that a value of three axes may have, the most plausible first.

    They are tokens on a grid of the image; where there is no image (audio, text), also the rows of
    a sequence, channels last or first. Behind an image's tokens may stand those of a text that is
    an input, too. One token for each image of a bag, or frame of a clip, is no
    place of an image.

    Args:
        dims: Its extents.
        inputs: Shapes of the inputs that it is computed from.
        grids: Spatial extents of convolutions before it.
        side: The side of the channels, if operators show it.
        joined: See `Lineage`.
    """
    for before, places, behind in sorted(joined):
        if before + places + behind == dims[1]:
            fits = token_grids(places, list(grids))
            exact = [one for one in fits if not one[1]]
            return tuple(
                Arrangement("tokens", grid, before + prefix, suffix=behind)
                for grid, prefix in exact or fits
            )
    image = next((tuple(shape[2:]) for shape in inputs if len(shape) == 4), ())
    every = [*grids, *_grids_of_clips(grids, inputs)]
    tokens = tuple(Arrangement("tokens", *one) for one in token_grids(dims[1], every, image))
    if image and isinstance(dims[1], int):
        texts = {shape[1] for shape in inputs if len(shape) == 2 and isinstance(shape[1], int)}
        tokens += tuple(
            Arrangement("tokens", *one, suffix=length)
            for length in sorted(texts, reverse=True)
            for one in token_grids(dims[1] - length, every, image)
        )
    row = Arrangement("tokens", (dims[1],))
    if _flat(inputs):
        first = Arrangement("channels_first", (dims[2],))
        return (first, row, *tokens) if side == "first" else (*tokens, row, first)
    bag = any(len(shape) == 5 and dims[1] in shape[1:3] for shape in inputs)
    return () if bag else tokens


def _grids_of_clips(
    grids: Collection[tuple[Dim, ...]], inputs: Sequence[Sequence[Dim]]
) -> Iterator[tuple[Dim, ...]]:
    """Yield grids of all frames of a clip, where a convolution sees each frame as an image.

    The frames may come first, or every place's frames side by side (TimeSformer).
    """
    counts = {extent for shape in inputs if len(shape) == 5 for extent in shape[1:3]}
    for grid, count in itertools.product(grids, counts):
        if len(grid) == 2:
            yield from ((count, *grid), (*grid, count))


def _flat(inputs: Sequence[Sequence[Dim]]) -> bool:
    """Whether no input is an image, a volume or a clip."""
    return bool(inputs) and all(len(shape) < 4 for shape in inputs)


def read_target(name: str, value: ir.Value, graph: ir.Graph) -> Reading:
    """Read the layout of a target layer.

    Raises:
        LayerError: The value has no usable layout; the message says what it has.
    """
    if value.shape is None or len(value.shape) < 3:
        shape = "an unknown shape" if value.shape is None else f"shape {dims_of(value)}"
        raise LayerError(
            f"layer {name!r} has {shape}; a map needs [batch, channels, *space] or tokens"
        )
    dims, layout = dims_of(value), read_layout(value, lineages(graph).get(value, Lineage()))
    if not layout.on_batch and any(
        value.shape is not None and len(value.shape) == 5 for value in graph.inputs
    ):
        raise LayerError(
            f"layer {name!r} has shape {dims}: its first axis is not the batch, and the graph does "
            "not show that it holds the images of each bag or clip in the input's order; choose "
            "the layer that joins them again"
        )
    if not layout.on_batch:
        raise LayerError(
            f"layer {name!r} has shape {dims}: its first axis is not the batch (a window "
            "partition, or time, perhaps); choose a layer whose first axis is"
        )
    if not layout.options:
        raise LayerError(
            f"layer {name!r} has shape {dims}: its {dims[1]} tokens fit the grid of no "
            "convolution before it, nor patches of the image; choose a layer with [batch, "
            "channels, height, width]"
        )
    return layout


def token_grids(
    tokens: Dim, grids: Sequence[tuple[Dim, ...]], image: tuple[Dim, ...] = ()
) -> list[tuple[tuple[int, ...], int]]:
    """The grids that tokens may stand on, each with the number of tokens before it; best first.

    They are grids of earlier layers that leave at most 16 tokens over, the largest first. Else
    these thinned out (LeViT takes every second token), or grids of square patches of the image (TNT
    cuts them without a convolution).

    Args:
        tokens: Their number.
        grids: Spatial extents of convolutions.
        image: Spatial extents of the model's input.
    """
    if not isinstance(tokens, int):
        return []
    known = {grid for grid in static_grids(grids) if len(grid) > 1}
    patches = {
        tuple(side // patch for side in sides)
        for sides in static_grids([image])
        if len(sides) == 2
        for patch in range(2, min(sides) + 1)
        if not any(side % patch for side in sides)
    }
    exact = _fits(tokens, known, _MAX_PREFIX)
    # Both, for where no convolution is, what is known may be attention of heads, tokens by width.
    others = _fits(tokens, halved(known), _FEW_PREFIX) + _fits(tokens, patches, _MAX_PREFIX)
    return exact or list(dict.fromkeys(others))


def _fits(
    tokens: int, grids: Iterable[tuple[int, ...]], most: int
) -> list[tuple[tuple[int, ...], int]]:
    """The grids that leave at most so many tokens over, with their number; the largest first."""
    over = [(tokens - math.prod(grid), grid) for grid in grids if 1 < math.prod(grid) <= tokens]
    # No more before the grid than on it: else EfficientViM's 25 states would be 3 x 3 places.
    return [(grid, prefix) for prefix, grid in sorted(over) if prefix <= min(most, math.prod(grid))]


def static_grids(grids: Iterable[tuple[Dim, ...]]) -> set[tuple[int, ...]]:
    """Those of the grids whose sides are all known."""
    sides = [(grid, tuple(side for side in grid if isinstance(side, int))) for grid in grids]
    return {known for grid, known in sides if known and len(known) == len(grid)}


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
