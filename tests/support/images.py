"""Images that tests explain."""

from __future__ import annotations

import numpy as np


def photo(height: int, width: int) -> np.ndarray:
    """Return smooth shading, fine stripes, grain and a hard edge: RGB uint8."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    channels = [
        100 + 60 * np.sin(x / 37 + c) * np.cos(y / 53) + 40 * np.sin((x + 2 * y) / 7)
        for c in range(3)
    ]
    picture = np.stack(channels, -1) + rng.normal(0, 15, (height, width, 3))
    picture[height // 3 : height // 2, width // 4 : width // 2] = (255, 0, 128)
    return np.clip(picture, 0, 255).astype(np.uint8)


def noise(count: int, height: int = 8, width: int = 8, seed: int = 1) -> np.ndarray:
    """Return normally distributed model inputs, float32 [count, 3, height, width]."""
    generator = np.random.default_rng(seed)
    return generator.standard_normal((count, 3, height, width)).astype(np.float32)
