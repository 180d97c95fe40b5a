"""Images that tests explain."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def photo(height: int, width: int) -> np.ndarray:
    """Return smooth shading, fine stripes, grain and a hard edge: RGB uint8."""
    rng = np.random.default_rng(0)
    y, x = np.mgrid[:height, :width]
    channels = [
        100 + 60 * np.sin(x / 37 + c) * np.cos(y / 53) + 40 * np.sin((x + 2 * y) / 7)
        for c in range(3)
    ]
    image = np.stack(channels, -1) + rng.normal(0, 15, (height, width, 3))
    image[height // 3 : height // 2, width // 4 : width // 2] = (255, 0, 128)
    return np.clip(image, 0, 255).astype(np.uint8)


def images(count: int, height: int, width: int, seed: int = 0) -> list[np.ndarray]:
    """Return images of random pixels: RGB uint8."""
    generator = np.random.default_rng(seed)
    return list(generator.integers(0, 256, (count, height, width, 3), np.uint8))


def write_images(folder: Path, images: Sequence[np.ndarray]) -> Path:
    """Write images as 0.png, 1.png and so on into a new folder, and return it."""
    folder.mkdir()
    for number, image in enumerate(images):
        cv2.imwrite(str(folder / f"{number}.png"), image[:, :, ::-1])
    return folder


def read_rgb(path: Path | str) -> np.ndarray:
    """Return the pixels of an image file: RGB uint8."""
    return cv2.imdecode(np.fromfile(path, np.uint8), cv2.IMREAD_COLOR)[:, :, ::-1]


def noise(count: int, height: int = 8, width: int = 8, seed: int = 1) -> np.ndarray:
    """Return normally distributed model inputs, float32 [count, 3, height, width]."""
    generator = np.random.default_rng(seed)
    return generator.standard_normal((count, 3, height, width)).astype(np.float32)


def mended(error: Exception, names: dict[str, Any]) -> Any:
    """What the remedy in an error message, "...; pass ...", gives when it is run."""
    return eval(str(error).partition("; pass ")[2], names)
