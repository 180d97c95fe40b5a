"""`mix` and `darken` blend blocks of an image in whole numbers; `shrunk` makes a small copy."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
from numpy.typing import NDArray

from ...inputs.image_files import Pixels
from .look import Opacity
from .maps import Heatmap

FULL = 255  # the share of what lies above that hides what lies below


def shares(values: Heatmap, full: float = 1.0) -> NDArray[np.uint8]:
    """Return the magnitudes [h, w] in [0, 1] as whole numbers up to `FULL`, times ``full``."""
    return cast("NDArray[np.uint8]", cv2.convertScaleAbs(values, alpha=FULL * full))


def opacity_of(values: Heatmap, alpha: float, opacity: Opacity) -> NDArray[np.uint8]:
    """Return the colour's share in each pixel as whole numbers up to `FULL`.

    With ``evidence`` it is ``alpha`` times the value's magnitude: the image stays itself where
    there is no evidence, and evidence half as strong is half as opaque. With ``even`` it is
    ``alpha``.

    Args:
        values: In [0, 1] or, signed, [-1, 1].
        alpha: The share where the evidence is strongest.
        opacity: Which of the two.
    """
    if opacity == "even":
        return np.full(values.shape, round(FULL * alpha), np.uint8)
    return shares(values, alpha)


def mix(below: Pixels, above: Pixels, share: NDArray[np.uint8]) -> None:
    """Blend ``above`` into ``below`` in place, both RGB uint8 [h, w, 3].

    The share [h, w] of ``above`` has 255 steps. Products are exact, so that a result is rounded
    once and differs from that of the exact share by less than one grey level.
    """
    three = cv2.cvtColor(share, cv2.COLOR_GRAY2RGB)
    mixed = np.multiply(above, three, dtype=np.uint16)
    mixed += np.multiply(below, cv2.bitwise_not(three), dtype=np.uint16)
    cv2.convertScaleAbs(mixed, below, 1 / FULL)


def darken(image: Pixels, share: NDArray[np.uint8]) -> None:
    """Blend black into an image [h, w, 3] in place; ``share`` [h, w] as for `mix`."""
    rest = cv2.cvtColor(cv2.bitwise_not(share), cv2.COLOR_GRAY2RGB)
    cv2.multiply(image, rest, image, 1 / FULL)


def shrunk(image: Pixels, size: tuple[int, int]) -> Pixels:
    """Shrink an image to ``size``, (height, width), where fine detail does not matter.

    Halving is ten times faster than other ratios, so that it comes first. A pixel on the border
    between two of the result counts for both then.
    """
    height, width = image.shape[:2]
    while height % 2 == 0 == width % 2 and height >= 2 * size[0] and width >= 2 * size[1]:
        height, width = height // 2, width // 2
        image = _by_area(image, (height, width))
    return image if (height, width) == size else _by_area(image, size)


def _by_area(image: Pixels, size: tuple[int, int]) -> Pixels:
    return cast("Pixels", cv2.resize(image, size[::-1], interpolation=cv2.INTER_AREA))
