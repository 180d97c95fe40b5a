"""What other packages do to a raw map before they return it, so that ours can follow.

Each function takes a map [h, w] and the size of the model's input (height, width).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import cv2
import numpy as np
from PIL import Image
from scipy.ndimage import zoom

from .case import Array

Size = tuple[int, int]


def unchanged(map_: Array, size: Size) -> Array:
    """Return the raw map."""
    return map_


def stretched(map_: Array, size: Size) -> Array:
    """Move the smallest value to 0 and the largest to 1."""
    above = map_ - map_.min()
    return above / above.max()


def stretched_twice(map_: Array, size: Size) -> Array:
    """Stretch, resize with OpenCV's bilinear filter, and stretch again."""
    large: Any = cv2.resize(stretched(map_, size).astype(np.float32), (size[1], size[0]))
    return stretched(large, size)


def cubic(map_: Array, size: Size) -> Array:
    """Resize with TensorFlow's bicubic filter, which is Pillow's (Keys, a = -0.5)."""
    image = Image.fromarray(map_.astype(np.float32))
    return np.asarray(image.resize((size[1], size[0]), Image.Resampling.BICUBIC))


def zoomed(map_: Array, size: Size) -> Array:
    """Resize bilinearly, corners on corners, and stretch."""
    factors = [large / small for large, small in zip(size, map_.shape, strict=True)]
    return stretched(np.asarray(zoom(map_, factors, order=1)), size)


CONVERSIONS: dict[str, Callable[[Array, Size], Array]] = {
    "none": unchanged,
    "stretched": stretched,
    "stretched, resized, stretched": stretched_twice,
    "resized": cubic,
    "zoomed, stretched": zoomed,
}
