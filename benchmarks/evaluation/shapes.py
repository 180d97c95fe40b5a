"""`draw` makes images whose truth is known, like XAI-TRIS (Clark et al. 2023, 2306.12816).

An image shows a T or an L of four squares in noise; the shape is the class, and nothing else tells
it. What is hard differs by `SCENARIOS`:

- ``linear``: the shape, always at the same place, is added to the noise.
- ``multiplicative``: it scales the noise, whose sign is chance: no pixel's mean tells the class.
- ``translations``: it is added anywhere, turned by quarters.

Noise is white, or smooth (``correlated``), which hides a shape much better.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

SIZE = 64
LABELS = ("T", "L")
SCENARIOS = ("linear", "multiplicative", "translations")
NOISES = ("white", "correlated")
_CELL = 8  # pixels of a square
_T = np.array([[1, 0], [1, 1], [1, 0]], bool)
_L = np.array([[1, 0], [1, 0], [1, 1]], bool)
_SHAPES = (_T, _L)
_PLACES = ((8, 8), (32, 40))  # of T and L where they stay, in pixels
_SMOOTH = 3.0  # pixels
# How strong the shape is beside the noise; chosen so that a small network is right on nearly all.
_SHARE = {
    ("linear", "white"): 0.18, ("linear", "correlated"): 0.25,
    ("multiplicative", "white"): 0.7, ("multiplicative", "correlated"): 0.7,
    ("translations", "white"): 0.5, ("translations", "correlated"): 0.65,
}  # fmt: skip


@dataclass(frozen=True)
class Shapes:
    """Images with their truth.

    Attributes:
        images: uint8 [N, 64, 64].
        labels: int64 [N].
        masks: bool [N, 64, 64]: where the class shows.
    """

    images: NDArray[np.uint8]
    labels: NDArray[np.int64]
    masks: NDArray[np.bool_]


def draw(scenario: str, noise: str, count: int, seed: int) -> Shapes:
    """Draw ``count`` images; the same for the same seed.

    Args:
        scenario: One of `SCENARIOS`.
        noise: One of `NOISES`.
        count: Number of images, half of each class.
        seed: Any non-negative integer.
    """
    generator = np.random.default_rng([seed, SCENARIOS.index(scenario), NOISES.index(noise)])
    labels = generator.permutation(np.arange(count) % 2)
    share = _SHARE[scenario, noise]
    images, masks = np.empty((count, SIZE, SIZE), np.uint8), np.zeros((count, SIZE, SIZE), bool)
    for number, label in enumerate(labels):
        ground = _noise(noise, generator)
        if scenario == "translations":
            mask = _moved(label, generator)
        else:
            mask = _placed(_SHAPES[label], _PLACES[label])
        pattern = mask.astype(float)
        if scenario == "multiplicative":
            image = (1 - share * pattern) * ground
        else:
            image = share * _norm(pattern) + (1 - share) * _norm(ground)
            image = image / np.abs(image).max()
        images[number] = np.clip(
            np.round(127.5 + 127 * image / max(1, np.abs(image).max())), 0, 255
        )
        masks[number] = mask
    return Shapes(images, labels.astype(np.int64), masks)


def _noise(kind: str, generator: np.random.Generator) -> NDArray[np.float64]:
    ground = generator.standard_normal((SIZE, SIZE))
    if kind == "correlated":
        ground = cv2.GaussianBlur(ground, (0, 0), _SMOOTH, borderType=cv2.BORDER_REFLECT)
    return ground / np.abs(ground).max()


def _norm(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Scale to Frobenius norm 1, as the paper does with shape and noise."""
    return values / np.linalg.norm(values)


def _placed(shape: NDArray[np.bool_], corner: tuple[int, int]) -> NDArray[np.bool_]:
    whole = np.zeros((SIZE, SIZE), bool)
    large = shape.repeat(_CELL, 0).repeat(_CELL, 1)
    rows, columns = large.shape
    whole[corner[0] : corner[0] + rows, corner[1] : corner[1] + columns] = large
    return whole


def _moved(label: int, generator: np.random.Generator) -> NDArray[np.bool_]:
    turned = np.rot90(_SHAPES[label], int(generator.integers(4)))
    corner = [int(generator.integers(0, SIZE - extent * _CELL + 1)) for extent in turned.shape]
    return _placed(turned, (corner[0], corner[1]))
