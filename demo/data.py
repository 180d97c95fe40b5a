"""A canvas shows two or three handwritten digits of different classes; `draw` makes it from a seed.

The glyphs are the 1797 scans of scikit-learn's ``load_digits`` (8x8, 17 grey levels), enlarged,
rotated, coloured and scattered over clutter. A canvas depends only on its seed and index, so the
training set needs no storage and the test set is the same in every run. The module does not need
torch, and scikit-learn only to load glyphs.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple, cast

import numpy as np
from numpy.typing import NDArray

from .clutter import Palette, add_noise, background
from .figure import Figure

LABELS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")
SIZE = 96
"""Height and width of a canvas, in pixels."""
MEAN = (0.5, 0.5, 0.5)
"""Per channel, of pixels scaled to [0, 1]; with ``STD`` the model's normalisation."""
STD = (0.25, 0.25, 0.25)

_TRAIN_GLYPHS = 1347
_SPLIT_SEED = 0
_MARGIN = 2


class Box(NamedTuple):
    """One digit on a canvas.

    Attributes:
        x: Left edge in pixels; the box covers ``x <= column < x + w``.
        y: Top edge in pixels; the box covers ``y <= row < y + h``.
        w: Width in pixels.
        h: Height in pixels.
        label: Class id, 0 to 9.
    """

    x: int
    y: int
    w: int
    h: int
    label: int

    def overlaps(self, other: Box) -> bool:
        """Whether the two boxes share a pixel."""
        return (
            self.x < other.x + other.w
            and other.x < self.x + self.w
            and self.y < other.y + other.h
            and other.y < self.y + self.h
        )


@dataclass(frozen=True)
class Glyphs:
    """Scanned digits.

    Attributes:
        ink: float32 [N, 8, 8] in [0, 1], 1 for the most ink.
        labels: int64 [N], class ids.
    """

    ink: NDArray[np.float32]
    labels: NDArray[np.int64]


@dataclass(frozen=True)
class Canvases:
    """Images with their classes and boxes.

    Attributes:
        images: uint8 [N, 96, 96, 3], RGB.
        targets: float32 [N, 10], 1 for every class in the image.
        boxes: For each image its digits, in drawing order.
    """

    images: NDArray[np.uint8]
    targets: NDArray[np.float32]
    boxes: list[list[Box]]


def load_glyphs(split: Literal["train", "heldout"]) -> Glyphs:
    """Load one part of the scans; the two parts share no scan, though they share writers.

    Args:
        split: ``train`` (1347 scans) or ``heldout`` (450 scans).
    """
    from sklearn.datasets import load_digits

    images, labels = cast(
        "tuple[NDArray[np.float64], NDArray[np.int64]]", load_digits(return_X_y=True)
    )
    order = np.random.default_rng(_SPLIT_SEED).permutation(len(labels))
    part = order[:_TRAIN_GLYPHS] if split == "train" else order[_TRAIN_GLYPHS:]
    ink = (images[part] / 16.0).astype(np.float32).reshape(-1, 8, 8)
    return Glyphs(ink, labels[part].astype(np.int64))


def draw(glyphs: Glyphs, count: int, seed: int) -> Canvases:
    """Draw ``count`` canvases; canvas ``i`` is the same whatever ``count`` is.

    Args:
        glyphs: The scans to choose from.
        count: Number of canvases.
        seed: Any non-negative integer.
    """
    images = np.empty((count, SIZE, SIZE, 3), np.uint8)
    targets = np.zeros((count, len(LABELS)), np.float32)
    boxes: list[list[Box]] = []
    for index in range(count):
        images[index], found = _canvas(glyphs, np.random.default_rng([seed, index]))
        targets[index, [box.label for box in found]] = 1.0
        boxes.append(found)
    return Canvases(images, targets, boxes)


def _canvas(glyphs: Glyphs, rng: np.random.Generator) -> tuple[NDArray[np.uint8], list[Box]]:
    """Draw one canvas: clutter first, then the digits, then the sensor's noise over both."""
    palette = Palette.choose(rng)
    image = background(SIZE, palette, rng)
    labels = rng.permutation(len(LABELS))[: rng.integers(2, 4)]
    figures = [
        Figure.vary(glyphs.ink[rng.choice(np.flatnonzero(glyphs.labels == label))], rng)
        for label in labels
    ]
    boxes = _scatter(figures, labels.tolist(), rng)
    for figure, box in zip(figures, boxes, strict=True):
        figure.paint(image, box.x, box.y, palette.ink(rng), palette.shade)
    return add_noise(image, rng), boxes


def _scatter(figures: list[Figure], labels: list[int], rng: np.random.Generator) -> list[Box]:
    """Find places where no two boxes overlap."""
    while True:
        # All positions are drawn again, not only the last: every arrangement is equally likely.
        boxes: list[Box] = []
        for (w, h), label in zip((figure.size for figure in figures), labels, strict=True):
            x = int(rng.integers(_MARGIN, SIZE - _MARGIN - w + 1))
            y = int(rng.integers(_MARGIN, SIZE - _MARGIN - h + 1))
            boxes.append(Box(x, y, w, h, label))
        if not any(a.overlaps(b) for i, a in enumerate(boxes) for b in boxes[:i]):
            return boxes
