"""These functions show arrays of any range as grey levels or colours, at a size for the eye."""

from __future__ import annotations

from typing import Any, TypeAlias

import cv2
import numpy as np
from numpy.typing import NDArray

from ...inputs.image_files import Pixels

_TAILS = (0.5, 99.5)  # percentiles that become black and white: a few outliers hide nothing
_SAMPLE = 1 << 20  # values that percentiles are taken of, at most

Limits: TypeAlias = tuple[float, float]
"""The values that become black and white."""


class Shades:
    """Shows an array, or parts of it, on one scale.

    Bytes of three channels are an image already. Of other arrays, three channels are colours; of
    other numbers of channels the mean is shown, each of them scaled to the same range.
    """

    def __init__(self, values: NDArray[Any], channel: int | None) -> None:
        """Measure ``values``, which have an axis for the channels at ``channel``."""
        self._channel = channel
        planes = [values] if channel is None else list(np.moveaxis(values, channel, 0))
        self._as_they_are = values.dtype == np.uint8 and len(planes) == 3
        self._coloured = len(planes) == 3
        self._limits = [limits_of(plane) for plane in planes]
        if self._coloured:
            whole = limits_of(values)
            self._limits = [whole] * 3

    def show(self, part: NDArray[Any], channel: int | None) -> Pixels:
        """Show a part of the array: RGB uint8 with the axes of the part before the colours.

        Args:
            part: An array with the same channels.
            channel: The axis of the channels in it.
        """
        planes = [part] if channel is None else list(np.moveaxis(part, channel, 0))
        if self._as_they_are:
            return np.stack(planes, axis=-1)
        pairs = zip(planes, self._limits, strict=True)
        levels = [shaded(plane, limits) for plane, limits in pairs]
        if self._coloured:
            return np.stack(levels, axis=-1)
        mean = np.rint(np.mean(levels, axis=0)).astype(np.uint8)
        return np.repeat(mean[..., None], 3, axis=-1)


def limits_of(values: NDArray[Any]) -> Limits:
    """Return the values of an array that become black and white; equal ones if it is constant."""
    flat = values.reshape(-1)
    if flat.size > _SAMPLE:
        # At random: regular steps could meet the same column of each row.
        flat = flat[np.random.default_rng(0).integers(0, flat.size, _SAMPLE)]
    finite = flat[np.isfinite(flat)]
    if not finite.size:
        return 0.0, 0.0
    low, high = (float(one) for one in np.percentile(finite, _TAILS))
    return (low, high) if high > low else (float(finite.min()), float(finite.max()))


def shaded(values: NDArray[Any], limits: Limits | None = None) -> NDArray[np.uint8]:
    """Scale values of any range to grey levels, uint8 of the same shape; infinity is an end."""
    low, high = limits or limits_of(values)
    if high <= low:
        return np.full(values.shape, 128, np.uint8)
    scaled = (np.clip(values.astype(np.float64), low, high) - low) / (high - low)
    return np.rint(255 * scaled).astype(np.uint8)


def pictured(values: NDArray[Any], channel: int | None) -> Pixels:
    """Show an array as an image; see `Shades`."""
    return Shades(values, channel).show(values, channel)


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
