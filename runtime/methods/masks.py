"""Pictures seen through masks, and a layer seen at one place alone."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import reduce
from itertools import islice
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .baselines import channel_axis
from .request import Question

Floats = NDArray[np.float32]

_AT_ONCE = 64  # masks in memory


class GridMasks:
    """RISE's masks: random grids, resized to a little more than the picture and shifted."""

    def __init__(self, size: tuple[int, int], count: int, grid: int, p: float, seed: int) -> None:
        """Draw ``count`` grids and shifts; they become masks of ``size`` when asked for."""
        generator = np.random.default_rng(seed)
        self._size = size
        self._cell = [-(-extent // grid) for extent in size]
        self._grids = (generator.random((count, grid, grid)) < p).astype(np.float32)
        self._shifts = generator.integers(0, self._cell, (count, 2))

    def __iter__(self) -> Iterator[Floats]:
        """The masks one by one, [H, W] in 0 to 1."""
        height, width = self._size
        for grid, (down, right) in zip(self._grids, self._shifts, strict=True):
            rows, columns = ((len(grid) + 1) * cell for cell in self._cell)
            whole = cv2.resize(grid, (columns, rows), interpolation=cv2.INTER_LINEAR)
            yield whole[down : down + height, right : right + width]

    def summed(self, weights: NDArray[Any]) -> NDArray[Any]:
        """The sum of all masks with weights [count, N, K]: [N, K, H, W]."""
        total, masks = np.zeros((*weights.shape[1:], *self._size)), iter(self)
        for start in range(0, len(weights), _AT_ONCE):
            part = np.stack(list(islice(masks, _AT_ONCE)))
            total += np.tensordot(weights[start : start + _AT_ONCE], part, axes=(0, 0))
        return total


def one_place(space: Sequence[int], *, neighbours: bool) -> Iterator[Floats]:
    """Masks [*space] that keep one place each, row by row.

    With ``neighbours`` a place keeps 1/2 along each axis, and the places beside it 1/4.
    """
    windows = [np.eye(extent, dtype=np.float32) for extent in space]
    if neighbours:
        beside = [np.eye(extent, k=1) + np.eye(extent, k=-1) for extent in space]
        windows = [
            (one / 2 + two / 4).astype(np.float32) for one, two in zip(windows, beside, strict=True)
        ]
    for place in np.ndindex(*space):
        rows = (window[at] for window, at in zip(windows, place, strict=True))
        yield reduce(np.multiply.outer, rows, np.float32(1))


def size_of(question: Question) -> tuple[int, int]:
    """Height and width of the model's input.

    Raises:
        InputError: It is no picture.
    """
    shape = question.feeds[question.input].shape
    if len(shape) != 4:
        raise InputError(
            f"input '{question.input}' has shape {list(shape)}; the method masks pictures, "
            "[N, channels, height, width]"
        )
    last = channel_axis(question.session.spec.preprocess) == -1
    return shape[1:3] if last else shape[2:]


def as_masks(plane: Floats, question: Question) -> Floats:
    """One channel [N, h, w] as masks [N, H, W]: resized to the input, then scaled.

    Each reaches from 0 at its minimum to 1 at its maximum; a constant one becomes 0.

    Raises:
        InputError: The layer or the input is no picture.
    """
    height, width = size_of(question)
    if plane.ndim != 3:
        raise InputError(f"layer '{question.layer.name}' has no two-dimensional maps to mask with")
    masks = np.stack([cv2.resize(one, (width, height)) for one in plane])
    low, high = (edge(masks, axis=(1, 2), keepdims=True) for edge in (np.min, np.max))
    return np.where(high > low, (masks - low) / np.where(high > low, high - low, 1), 0)


def masked(question: Question, images: NDArray[Any], mask: Floats) -> NDArray[Any]:
    """Images [N, ...] under one mask [H, W], or one each, [N, H, W]."""
    return images * np.expand_dims(mask, channel_axis(question.session.spec.preprocess))
