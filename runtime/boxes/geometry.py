"""These functions relate boxes to the image and to maps."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..inputs.preprocess import Placement


def to_image(corners: NDArray[np.float32], placement: Placement) -> NDArray[np.float32]:
    """Undo crop, padding and resize of corners [..., 4], and clip them to the image.

    Args:
        corners: Left, top, right, bottom in pixels of the model's input.
        placement: The geometry between the image and the input.
    """
    (top, left), (height, width) = placement.offset, placement.image
    scale = [size / resized for size, resized in zip(placement.image, placement.resized,
                                                     strict=True)]  # fmt: skip
    moved = corners.astype(np.float64) + np.array([left, top, left, top])
    moved *= np.array([scale[1], scale[0], scale[1], scale[0]])
    return np.clip(moved, 0, [width, height, width, height]).astype(np.float32)


def share_inside(
    heatmap: NDArray[np.floating], corners: tuple[float, ...], size: tuple[int, int]
) -> float | None:
    """Return the share of a map's positive values that lies in a box; None for an empty map.

    Each cell of the map [h, w] covers an equal part of the model's input, and is inside by the
    area that the box covers of it.

    Args:
        heatmap: The raw map.
        corners: Left, top, right, bottom in pixels of the model's input.
        size: Height and width of the model's input.
    """
    values = np.maximum(heatmap.astype(np.float64), 0)
    total = float(values.sum())
    if not np.isfinite(total) or total <= 0:
        return None
    left, top, right, bottom = corners
    rows, columns = (
        np.clip(end * cells / extent - np.arange(cells), 0, 1)
        - np.clip(start * cells / extent - np.arange(cells), 0, 1)
        for (start, end), cells, extent in zip(
            ((top, bottom), (left, right)), heatmap.shape, size, strict=True
        )
    )
    return float(np.maximum(rows, 0) @ values @ np.maximum(columns, 0)) / total
