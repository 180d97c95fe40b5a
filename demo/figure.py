"""A `Figure` enlarges an 8x8 scan to a digit of 24 to 33 pixels with its own shape and pen."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

_SIDE = (24.0, 33.0)
_TURN_DEGREES = 12.0
_WIDTH = (0.85, 1.15)
_SLANT = 0.15
_PEN = (0.2, 0.36)
# Smallest share of full ink for a cell to count as part of the digit's extent.
_INKED = 4.0 / 16.0
# Pixels around the extent that the shadow reaches.
_HALO = 6


@dataclass(frozen=True)
class Figure:
    """A scan with its transform, ready to be painted.

    Attributes:
        ink: float32 [8, 8] in [0, 1].
        linear: float64 [2, 2], from the scan's (column, row) to (x, y) in pixels.
        low: float64 [2], left and top of the ink's extent, relative to the scan's corner.
        size: Width and height of that extent in pixels, rounded up.
        pen: Interpolated ink at which a stroke begins; a lower value is a broader pen.
    """

    ink: NDArray[np.float32]
    linear: NDArray[np.float64]
    low: NDArray[np.float64]
    size: tuple[int, int]
    pen: float

    @staticmethod
    def vary(ink: NDArray[np.float32], rng: np.random.Generator) -> Figure:
        """Draw size, turn, relative width, slant and pen for a scan, float32 [8, 8]."""
        zoom = rng.uniform(*_SIDE) / 8.0
        turn = np.deg2rad(rng.uniform(-_TURN_DEGREES, _TURN_DEGREES))
        cos, sin = np.cos(turn), np.sin(turn)
        slant = np.array([[rng.uniform(*_WIDTH), rng.uniform(-_SLANT, _SLANT)], [0.0, 1.0]])
        linear = zoom * np.array([[cos, -sin], [sin, cos]]) @ slant
        rows, columns = np.nonzero(ink >= _INKED)
        cells = np.stack([columns, rows])
        corners = [cells + np.array([[dx], [dy]]) for dx in (0, 1) for dy in (0, 1)]
        extent = linear @ np.concatenate(corners, 1)
        low = extent.min(1)
        w, h = np.ceil(extent.max(1) - low)
        return Figure(ink, linear, low, (int(w), int(h)), rng.uniform(*_PEN))

    def paint(
        self,
        image: NDArray[np.float32],
        x: int,
        y: int,
        colour: NDArray[np.float32],
        shade: float,
    ) -> None:
        """Paint the digit on ``image`` in place, over a soft shadow of its own shape.

        Args:
            image: float32 [H, W, 3] in [0, 1].
            x: Left edge of the ink's extent.
            y: Top edge of the ink's extent.
            colour: float32 [3] in [0, 1].
            shade: Grey level of the shadow.
        """
        w, h = self.size
        left, top = max(x - _HALO, 0), max(y - _HALO, 0)
        window = image[top : y + h + _HALO, left : x + w + _HALO]
        # Positions here are relative to a cell's corner, in OpenCV to its centre. Two empty cells
        # around the scan let strokes at its border fade out instead of ending in a straight edge.
        origin = np.array([x - left, y - top]) - self.low - 0.5
        origin += self.linear @ np.array([0.5 - 2, 0.5 - 2])
        matrix = np.column_stack([self.linear, origin])
        grown = cv2.warpAffine(
            np.pad(self.ink, 2), matrix, (window.shape[1], window.shape[0]), flags=cv2.INTER_CUBIC
        )
        # Steeper than the scan's soft edge, about as sharp as a pen's.
        alpha = np.clip((grown - self.pen) / 0.45, 0.0, 1.0)[..., None]
        shadow = 0.6 * cv2.GaussianBlur(alpha, (0, 0), 2.0)[..., None]
        window += shadow * (shade - window)
        window += alpha * (colour - window)
