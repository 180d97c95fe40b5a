"""`PixelImage` is an image whose numbers are its pixels, from 0 to 1."""

from __future__ import annotations

from typing import Any, Protocol

import cv2
import numpy as np
from numpy.typing import NDArray

from .adam import Adam
from .objective import Plane

_GREY = 0.5  # white is 1


class Image(Protocol):
    """An image that some numbers, its parameters, describe; the ascent changes them.

    Attributes:
        pixels: float32 [C, H, W] from 0 to 1.
    """

    pixels: Plane

    def climb(self, slope: Plane, pace: float = 1.0) -> None:
        """Step along a gradient with respect to the pixels, float32 [C, H, W].

        ``pace`` is a factor on the rate.
        """
        ...

    def decay(self, share: float) -> None:
        """Go a share of the way to grey."""
        ...

    def blur(self, deviation: float) -> None:
        """Convolve with a Gaussian of this standard deviation in pixels."""
        ...


class PixelImage:
    """Grey with normal noise; the pixels are the parameters, and each goes its own way.

    Args:
        shape: Colours, height and width.
        random: The source of the noise.
        rate: About how far a pixel moves in a step.
        spread: Standard deviation of the noise.
        grain: Standard deviation of the Gaussian that blurs the noise, in pixels; 0: none.
    """

    def __init__(
        self,
        shape: tuple[int, int, int],
        random: np.random.Generator,
        rate: float,
        spread: float,
        grain: float,
    ) -> None:
        noise = random.standard_normal(shape).astype(np.float32)
        noise = unit_size(_blurred(noise, grain)) if grain else noise
        self._adam = Adam(rate)
        self.pixels = _clipped(_GREY + spread * noise)

    def climb(self, slope: Plane, pace: float = 1.0) -> None:
        """Take a step; pixels stay between black and white."""
        self.pixels = _clipped(self.pixels + pace * self._adam.step(slope))

    def decay(self, share: float) -> None:
        """Go a share of the way to grey."""
        self.pixels = _clipped(self.pixels - share * (self.pixels - _GREY))

    def blur(self, deviation: float) -> None:
        """Blur the pixels."""
        self.pixels = _blurred(self.pixels, deviation)


def unit_size(slope: Plane) -> Plane:
    """Divide a gradient by its root mean square; zero stays zero."""
    size = root_mean_square(slope)
    return slope / np.float32(size) if size > 0 else slope


def root_mean_square(slope: Plane) -> float:
    """Return the root mean square of a gradient."""
    return float(np.sqrt(np.mean(slope.astype(np.float64) ** 2)))


def _clipped(pixels: NDArray[np.floating[Any]]) -> Plane:
    return np.clip(pixels, 0, 1).astype(np.float32)


def _blurred(pixels: Plane, deviation: float) -> Plane:
    planes = [cv2.GaussianBlur(plane, (0, 0), deviation) for plane in pixels]
    return np.stack(planes).astype(np.float32)
