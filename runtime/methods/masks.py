"""These functions make masks for images (RISE, Score-CAM) and for single places of a layer."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .baselines import channel_axis
from .method_io import MethodInput

Floats = NDArray[np.float32]

_AT_ONCE = 64  # masks in memory


class GridMasks:
    """RISE's masks: random grids, resized to a little more than the image and shifted."""

    def __init__(self, size: tuple[int, int], count: int, grid: int, p: float, seed: int) -> None:
        """Draw ``count`` grids and shifts; `of` makes masks of ``size`` from them."""
        generator = np.random.default_rng(seed)
        self._size = size
        self._cell = [-(-extent // grid) for extent in size]
        self._grids = (generator.random((count, grid, grid)) < p).astype(np.float32)
        self._shifts = generator.integers(0, self._cell, (count, 2))

    def of(self, part: slice) -> Floats:
        """Return the masks with numbers ``part``, [V, H, W] in [0, 1]."""
        height, width = self._size
        found: list[NDArray[Any]] = []
        for grid, (down, right) in zip(self._grids[part], self._shifts[part], strict=True):
            rows, columns = ((len(grid) + 1) * cell for cell in self._cell)
            whole = cv2.resize(grid, (columns, rows), interpolation=cv2.INTER_LINEAR)
            found.append(whole[down : down + height, right : right + width])
        return np.stack(found)

    def summed(self, weights: NDArray[Any]) -> NDArray[Any]:
        """Return the sum of all masks with weights [count, N, K]: [N, K, H, W]."""
        total = np.zeros((*weights.shape[1:], *self._size))
        for start in range(0, len(weights), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            total += np.tensordot(weights[part], self.of(part), axes=(0, 0))
        return total


def one_place(space: Sequence[int], part: slice, *, neighbours: bool) -> Floats:
    """Return masks [V, *space] that are 1 at one place and 0 elsewhere.

    Args:
        space: Extents of the layer.
        part: Numbers of the V places, counted row by row.
        neighbours: Along each axis the place has 1/2 and the places beside it 1/4.
    """
    numbers = np.arange(part.start, part.stop)
    masks = np.ones(len(numbers), np.float32)
    for extent, at in zip(space, np.unravel_index(numbers, tuple(space)), strict=True):
        window = np.eye(extent, dtype=np.float32)
        if neighbours:
            window = window / 2 + np.eye(extent, k=1, dtype=np.float32) / 4
            window += np.triu(window, 1).T
        rows = window[at].reshape(len(numbers), *[1] * (masks.ndim - 1), extent)
        masks = masks[..., None] * rows
    return masks


def size_of(batch: MethodInput) -> tuple[int, int]:
    """Return height and width of the model's input.

    Raises:
        InputError: The input is not an image.
    """
    shape = batch.feeds[batch.input].shape
    if len(shape) != 4:
        raise InputError(
            f"input '{batch.input}' has shape {list(shape)}; the method masks images, "
            "[N, channels, height, width]"
        )
    last = channel_axis(batch.session.spec.preprocess) == -1
    return shape[1:3] if last else shape[2:]


def as_masks(planes: Floats, batch: MethodInput) -> Floats:
    """Convert channels [V, N, h, w] to masks [V, N, H, W]: resize to the input, then scale.

    The minimum of a mask becomes 0 and its maximum 1; a constant mask becomes 0.

    Raises:
        InputError: The layer or the input is not an image.
    """
    height, width = size_of(batch)
    if planes.ndim != 4:
        raise InputError(f"layer '{batch.layer.name}' has no two-dimensional maps to mask with")
    flat = planes.reshape(-1, *planes.shape[2:])
    resized = [cv2.resize(one, (width, height), interpolation=cv2.INTER_LINEAR) for one in flat]
    masks = np.stack(resized).reshape(*planes.shape[:2], height, width)
    low, high = (edge(masks, axis=(2, 3), keepdims=True) for edge in (np.min, np.max))
    return np.where(high > low, (masks - low) / np.where(high > low, high - low, 1), 0)


def masked(batch: MethodInput, clean: NDArray[Any], masks: Floats) -> NDArray[Any]:
    """Multiply images [N, ...] by masks [V, N or 1, H, W]: [V, N, ...]."""
    return clean * np.expand_dims(masks, channel_axis(batch.session.spec.preprocess))
