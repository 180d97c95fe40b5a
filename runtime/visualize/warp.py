"""A `Warp` shifts, scales and turns an image, and takes a gradient back the same way."""

from __future__ import annotations

import numpy as np

from .objective import Plane


class Warp:
    """Bilinear sampling of an image [C, H, W] at shifted, scaled and turned positions.

    It is linear: if `apply` multiplies by a matrix A, `adjoint` multiplies by its transpose, so
    <A x, y> = <x, A^T y>. The image repeats beyond its borders.

    Args:
        size: Height and width in pixels, of the image and of the result.
        shift: How far down and to the right of the image's centre the result's centre is.
        scale: Pixels of the image for each pixel of the result; 2 shows everything half as large.
        turn: Angle of the rotation about the centre, clockwise, in radians.
    """

    def __init__(
        self,
        size: tuple[int, int],
        shift: tuple[float, float] = (0.0, 0.0),
        scale: float = 1.0,
        turn: float = 0.0,
    ) -> None:
        height, width = size
        middle = (height - 1) / 2, (width - 1) / 2
        rows, columns = np.indices(size, np.float64)
        rows, columns = rows - middle[0], columns - middle[1]
        cosine, sine = scale * np.cos(turn), scale * np.sin(turn)
        down = cosine * rows - sine * columns + middle[0] + shift[0]
        right = sine * rows + cosine * columns + middle[1] + shift[1]
        top, left = np.floor(down), np.floor(right)
        low, far = down - top, right - left
        places, shares = list[Plane](), list[Plane]()
        for row, down_share in ((top, 1 - low), (top + 1, low)):
            for column, right_share in ((left, 1 - far), (left + 1, far)):
                places.append((row % height * width + column % width).ravel())
                shares.append((down_share * right_share).ravel())
        # One row for each of the four neighbours of a position.
        self._places = np.stack(places).astype(np.intp)
        self._shares = np.stack(shares).astype(np.float32)

    def apply(self, planes: Plane) -> Plane:
        """Sample an image, float32 [C, H, W]."""
        flat = planes.reshape(len(planes), -1)
        found = sum(
            flat[:, places] * shares
            for places, shares in zip(self._places, self._shares, strict=True)
        )
        return np.asarray(found, np.float32).reshape(planes.shape)

    def adjoint(self, planes: Plane) -> Plane:
        """Give each pixel the sum over the samples that it had a share in, float32 [C, H, W]."""
        places, count = self._places.ravel(), planes[0].size
        spread = planes.reshape(len(planes), 1, -1) * self._shares
        sums = [np.bincount(places, plane.ravel(), count) for plane in spread]
        return np.stack(sums).astype(np.float32).reshape(planes.shape)
