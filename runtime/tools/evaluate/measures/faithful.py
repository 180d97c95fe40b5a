"""`infidelity` hides squares of an image and compares a map's sum there with the score's drop."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..settings import Tuning
from ..subjects import Subjects
from .fill import mean_colour

Floats = NDArray[np.float32]

_SIDES = (1 / 8, 1 / 2)  # of the shorter side: the smallest and the largest square


def infidelity(subjects: Subjects, maps: list[Floats], tuning: Tuning) -> NDArray[np.float64]:
    """Return what maps leave unexplained of hidden squares, [M, N], 0 to 1.

    Infidelity (Yeh et al. 2019, 1901.09392) is the mean square of the difference between a map's
    sum over what is hidden and the drop of the score. Maps have units of their own, so that each is
    multiplied by the factor, not below 0, that fits best, and the result is divided by the mean
    square of the drops. 0: the map predicts every drop; 1: it predicts none. All maps are compared
    on the same squares, filled with the mean colour.

    Args:
        subjects: The photographs.
        maps: The maps of each of M candidates, [N, H, W], signed or not.
        tuning: Number of squares, and the seed.
    """
    height, width = subjects.size
    generator = np.random.default_rng(tuning.seed)
    sides = generator.uniform(*_SIDES, tuning.squares) * min(height, width)
    corners = generator.random((tuning.squares, 2))
    boxes = [
        (slice(top, top + side), slice(left, left + side))
        for side, (down, right) in zip(sides.round().astype(int), corners, strict=True)
        for top, left in [(int(down * (height - side + 1)), int(right * (width - side + 1)))]
    ]
    fills = [mean_colour(image) for image in subjects.images]

    def changed(number: int, row: int) -> Floats:
        if number == 0:
            return subjects.images[row]
        hidden = subjects.images[row].copy()
        hidden[boxes[number - 1]] = fills[row][boxes[number - 1]]
        return hidden

    scores = subjects.scores(1 + len(boxes), changed).astype(np.float64)
    drops = scores[0] - scores[1:]
    power = (drops**2).sum(axis=0)
    found: list[NDArray[np.float64]] = []
    for own in maps:
        said = np.stack([own[:, rows, columns].sum(axis=(1, 2)) for rows, columns in boxes])
        said = said.astype(np.float64)
        weight = (said**2).sum(axis=0)
        factor = (said * drops).sum(axis=0) / np.where(weight > 0, weight, 1)
        left = ((np.maximum(factor, 0) * said - drops) ** 2).sum(axis=0)
        found.append(np.where(power > 0, left / np.where(power > 0, power, 1), 0))
    return np.stack(found)
