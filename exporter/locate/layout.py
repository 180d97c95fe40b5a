"""This module finds the layout of a layer's output: the axis of channels, the grid of tokens.

Artifacts are channel-first whatever the model uses. The channel axis is read off the operators
around the layer: a convolution works on axis 1, a layer normalisation or a matrix product on the
last one.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from ..errors import LayerError
from ..graph.emitter import Dim, dims_of
from .arrangement import Arrangement
from .channel_side import Side, channel_side, is_of_convolution
from .lineage import Lineage, lineages
from .token_grids import halved, static_grids, token_grids


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


def read_layout(value: ir.Value, lineage: Lineage) -> Reading:
    """Read the layout of a value, of three axes or more, off the graph around it."""
    dims = dims_of(value)
    first = Arrangement("channels_first", tuple(dims[2:]))
    if value.is_graph_input():  # the activations that a head takes
        return Reading(on_batch=True, tokens=False, options=(first,), certain=True)
    inputs = [dims_of(one) for one in lineage.inputs]
    on_batch = not inputs or dims[0] in {shape[0] for shape in inputs}
    side = channel_side(value)
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
    certain = side == "first" or (side == "last" and is_of_convolution(value))
    return Reading(on_batch, tokens=False, options=options, certain=certain)


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
