"""`suppress` keeps the best of boxes that overlap, for each class apart."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

MOST_CANDIDATES = 8192
"""Boxes that are compared at most, the best ones: the comparison of all pairs is quadratic."""


def suppress(
    corners: NDArray[np.float32],
    scores: NDArray[np.float32],
    classes: NDArray[np.int64],
    conf: float,
    iou: float,
    limit: int,
    *,
    final: bool = False,
) -> NDArray[np.intp]:
    """Return the numbers of the boxes that stay, the best first.

    Args:
        corners: [boxes, 4]: left, top, right, bottom.
        scores: [boxes], probabilities.
        classes: [boxes]; boxes of different classes do not suppress each other.
        conf: The smallest score that stays.
        iou: A box goes if its intersection over union with a better one exceeds this.
        limit: The largest number of boxes.
        final: The boxes are detections already: only the threshold applies.
    """
    found = np.flatnonzero((scores >= conf) & (scores > 0))
    found = found[np.argsort(-scores[found], kind="stable")]
    if final or not len(found):
        return found[:limit]
    found = found[:MOST_CANDIDATES]
    # OpenCV moves the boxes of each class apart by the largest coordinate. That separates them
    # only if no coordinate is negative.
    boxes = corners[found].astype(np.float64)
    boxes -= boxes.min(axis=0)[[0, 1, 0, 1]]
    boxes[:, 2:] = np.maximum(boxes[:, 2:] - boxes[:, :2], 0)
    compared: Any = boxes.tolist()
    _, numbers = np.unique(classes[found], return_inverse=True)
    kept = cv2.dnn.NMSBoxesBatched(
        compared, scores[found].tolist(), numbers.reshape(-1).tolist(), 0.0, float(iou)
    )
    kept = np.sort(np.asarray(kept, np.intp).reshape(-1))
    return found[kept][:limit]


def check_share(name: str, value: object) -> float:
    """Return a threshold, or raise InputError unless it is a number from 0 to 1."""
    number = isinstance(value, (int, float, np.number)) and not isinstance(value, bool)
    if not number or not 0 <= float(value) <= 1:  # pyright: ignore[reportArgumentType]
        raise InputError(f"{name}={value} is out of range; give a number from 0 to 1")
    return float(value)  # pyright: ignore[reportArgumentType]
