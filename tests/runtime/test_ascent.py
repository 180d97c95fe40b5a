"""Where an ascent begins."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from graftcam.runtime.visualize.ascent import first_noise
from graftcam.runtime.visualize.settings import Ascent


class Scores:
    """Scores whose gradient is small (``faint``) below a contrast, and 1 from it on."""

    shape = (3, 32, 32)

    def __init__(self, contrast: float, faint: float) -> None:
        self.contrast, self.faint = contrast, faint

    def slopes(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        size = 1.0 if images.std() >= self.contrast else self.faint
        return np.zeros(len(images), np.float32), np.full(images.shape, size, np.float32)


@pytest.mark.parametrize(
    ("contrast", "faint", "least", "most"),
    [(0.0, 1.0, 0.0, 0.05), (0.1, 0.0, 0.1, 0.25), (0.1, 0.01, 0.1, 0.25), (0.1, 0.2, 0.0, 0.05)],
)
def test_a_spectrum_begins_with_the_least_contrast_that_has_a_steep_gradient(
    contrast: float, faint: float, least: float, most: float
) -> None:
    scores: Any = Scores(contrast, faint)
    image, steepness = first_noise(scores, np.random.default_rng(0), Ascent(), 0.02, 0.0)
    assert least <= image.pixels.std() < most
    assert steepness == (1.0 if image.pixels.std() >= contrast else pytest.approx(faint))
