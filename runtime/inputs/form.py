"""A `Form` says how the axes of a model's input are to be read, and which the maps lie along."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias

import numpy as np

from ..spec import Layout, Preprocess

Kind: TypeAlias = Literal["tokens", "signal", "plane", "volume", "frames"]

_COLOURS = (1, 3)  # extents of a channel axis that say what they are


@dataclass(frozen=True)
class Form:
    """How to read one row of an input.

    Attributes:
        kind: ``tokens``: ids of a text; ``signal``: values over time; ``plane``: an image or a
            spectrogram; ``volume``: a scan; ``frames``: a clip, or a sequence of images.
        space: The axes of the row that the axes of a map lie along, in their order.
        channel: The axis of the channels; None: there is none.
    """

    kind: Kind
    space: tuple[int, ...]
    channel: int | None = None


def form_of(
    shape: Sequence[int],
    dtype: np.dtype | type[np.generic] | None,
    cells: Sequence[int | None],
    layout: Layout = "channels_first",
    transform: Preprocess | None = None,
) -> Form | None:
    """Return the form of an input whose rows carry a layer's maps; None if they cannot.

    A row has the axes of a map, and one axis more if it has channels.

    Args:
        shape: Extents of the row, without the batch axis.
        dtype: The type of the input; integers in a row of one axis are tokens.
        cells: Extents of a map; None: dynamic.
        layout: The layer's axis order; ``instances``: the first axis of the row, and of a map, are
            the images of a bag or clip.
        transform: The preprocessing that makes the row, if there is one.
    """
    rank, axes = len(cells), tuple(range(len(shape)))
    if not 1 <= rank <= 3 or len(shape) not in (rank, rank + 1):
        return None
    instances = layout == "instances"
    if instances and rank < 2:
        return None
    if len(shape) == rank:
        kinds: tuple[Kind, ...] = ("signal", "plane", "frames" if instances else "volume")
        text = rank == 1 and dtype is not None and np.dtype(dtype).kind in "iu"
        return Form("tokens" if text else kinds[rank - 1], axes)
    channel = 1 if instances else _channel_axis(shape, cells, layout, transform)
    space = tuple(axis for axis in axes if axis != channel)
    if rank == 3:
        colours = instances or channel == 1 or shape[channel] == _COLOURS[1]
        return Form("frames" if colours else "volume", space, channel)
    return Form("signal" if rank == 1 else "plane", space, channel)


def _channel_axis(
    shape: Sequence[int],
    cells: Sequence[int | None],
    layout: Layout,
    transform: Preprocess | None,
) -> int:
    """Return the axis of the channels in a row that has one axis more than a map."""
    last = len(shape) - 1
    if transform is not None:
        return last if transform.layout == "nhwc" or transform.embedded else 0
    if last == 1:
        return _beside_time(shape, cells[0], layout)
    if last == 3 and shape[1] in _COLOURS and shape[0] not in _COLOURS:
        return 1  # a sequence of images
    if (shape[last] in _COLOURS) != (shape[0] in _COLOURS):
        return last if shape[last] in _COLOURS else 0
    return last if layout == "channels_last" else 0


def _beside_time(shape: Sequence[int], cells: int | None, layout: Layout) -> int:
    """Return the axis beside the time, of two; the cells of a map divide the time evenly."""
    usual = 0 if layout == "channels_last" else 1  # the time
    if cells:
        fits = [extent >= cells for extent in shape]
        if fits[0] == fits[1] and layout == "tokens":
            fits = [extent % cells == 0 for extent in shape]
        if fits[0] != fits[1]:
            usual = fits.index(True)
    return 1 - usual
