"""A `Filler` gives what stands where an image is removed: a blur, a colour, or inpainting."""

from __future__ import annotations

from collections.abc import Callable

import cv2
import numpy as np
from numpy.typing import NDArray

from .impute import impute

Floats = NDArray[np.float32]

_BLUR = 12  # a Gaussian whose sigma is this part of the shorter side, as in `methods.baselines`


def blurred(image: Floats) -> Floats:
    """Blur an image [H, W, C] beyond recognition; colours stay."""
    sigma = min(image.shape[:2]) / _BLUR
    found = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(found, np.float32).reshape(image.shape)


def mean_colour(image: Floats) -> Floats:
    """Return an image's mean colour everywhere, [H, W, C]."""
    mean = image.mean(axis=(0, 1), dtype=np.float64).astype(np.float32)
    return np.broadcast_to(mean, image.shape)


def zero(image: Floats) -> Floats:
    """Return 0 in the model's units, [H, W, C]: the mean colour of normalised images."""
    return np.zeros_like(image)


FILLS: dict[str, Callable[[Floats], Floats] | None] = {
    "blur": blurred, "mean": mean_colour, "zero": zero, "inpaint": None,
}  # fmt: skip
"""What stands where an image is removed; ``inpaint`` depends on what is left: see `impute`."""


class Filler:
    """Fills what is removed of one image."""

    def __init__(self, image: Floats, how: str) -> None:
        """Prepare to fill an image, float32 [H, W, C], in one of the ways `FILLS`."""
        self._image = np.ascontiguousarray(image, np.float32)
        make = FILLS[how]
        self._whole = None if make is None else make(self._image)

    def without(self, removed: NDArray[np.bool_]) -> Floats:
        """Return the image without the pixels ``removed``, [H, W]: float32 [H, W, C]."""
        if self._whole is not None:
            return np.where(removed[..., None], self._whole, self._image)
        if removed.all():
            return mean_colour(self._image)
        return impute(self._image, removed)
