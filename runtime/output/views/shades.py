"""These functions show arrays of any range as grey levels or colours, at a size for the eye."""

from __future__ import annotations

from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ...inputs.image_files import Pixels

_TAILS = (0.5, 99.5)  # percentiles that become black and white: a few outliers hide nothing


def shaded(values: NDArray[Any]) -> NDArray[np.uint8]:
    """Scale values of any range to grey levels, uint8 of the same shape; infinity is an end."""
    finite = values[np.isfinite(values)]
    if not finite.size:
        return np.full(values.shape, 128, np.uint8)
    low, high = (float(one) for one in np.percentile(finite, _TAILS))
    if high <= low:
        low, high = float(finite.min()), float(finite.max())
    if high <= low:
        return np.full(values.shape, 128, np.uint8)
    scaled = (np.clip(values.astype(np.float64), low, high) - low) / (high - low)
    return np.rint(255 * scaled).astype(np.uint8)


def pictured(values: NDArray[Any], channel: int | None) -> Pixels:
    """Show an array as an image: RGB uint8, with the axes of the array before the colours.

    Bytes of three channels are an image already. Of other arrays, three channels are colours; of
    other numbers of channels the mean is shown, each of them scaled to the same range.
    """
    if channel is None:
        return np.repeat(shaded(values)[..., None], 3, axis=-1)
    planes = np.moveaxis(values, channel, 0)
    if len(planes) == 3 and values.dtype == np.uint8:
        return np.moveaxis(values, channel, -1)
    if len(planes) == 3:
        return np.moveaxis(shaded(planes), 0, -1)
    mean = np.mean([shaded(plane) for plane in planes], axis=0)
    return np.repeat(np.rint(mean).astype(np.uint8)[..., None], 3, axis=-1)


def fitted(image: Pixels, room: tuple[int, int], aspect: float | None = None) -> Pixels:
    """Enlarge or shrink an image until it just fits into ``room``, (height, width).

    Args:
        image: RGB uint8 [H, W, 3].
        room: The most rows and columns.
        aspect: Width over height of the result; None: the image's own.
    """
    ratio = aspect or image.shape[1] / image.shape[0]
    height = max(1, round(min(room[0], room[1] / ratio)))
    width = max(1, min(room[1], round(height * ratio)))
    smaller = height < image.shape[0] and width < image.shape[1]
    how = cv2.INTER_AREA if smaller else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(image, (width, height), interpolation=how), np.uint8)
