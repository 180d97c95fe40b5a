"""These measures ask how a map changes with noise, and with the class."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..settings import Tuning
from ..subjects import Subjects
from .masking import correlation

Floats = NDArray[np.float32]
Explain = Callable[[Subjects], list[Floats]]
"""Makes the maps of all candidates, [N, H, W] each."""


def sensitivity(
    subjects: Subjects, maps: list[Floats], explain: Explain, tuning: Tuning
) -> NDArray[np.float64]:
    """Return the largest relative change of maps under noise, [M, N].

    Max-sensitivity (Yeh et al. 2019, 1901.09392): the largest norm of the difference between the
    maps with and without noise, relative to the norm of the map. Noise is uniform, at most
    ``radius`` times the image's range. An empty map has 0 if it stays empty, else 1.
    """
    generator = np.random.default_rng(tuning.seed)
    ranges = np.ptp(subjects.images, axis=(1, 2, 3)).reshape(-1, 1, 1, 1)
    norms = np.stack([_norms(own) for own in maps])
    largest = np.zeros_like(norms)
    for _ in range(tuning.noises):
        noise = generator.uniform(-1, 1, subjects.images.shape[1:]).astype(np.float32)
        noisy = subjects.images + np.float32(tuning.radius) * ranges * noise
        for number, other in enumerate(explain(subjects.with_images(noisy))):
            largest[number] = np.maximum(largest[number], _norms(other - maps[number]))
    return np.where(norms > 0, largest / np.where(norms > 0, norms, 1), largest > 0)


def class_sensitivity(
    subjects: Subjects, maps: list[Floats], explain: Explain, others: NDArray[np.int64]
) -> NDArray[np.float64]:
    """Return the correlation with the map of another class, [M, N], -1 to 1.

    Rebuffi et al. 2020 (NormGrad, 2004.02866) compare with the least likely class: a map that
    knows its class differs there. A constant map, such as one without evidence, has 0.

    Args:
        subjects: The photographs.
        maps: The maps of each of M candidates, [N, H, W].
        explain: Makes them for other classes.
        others: Ids of the other classes, [N].
    """
    found = explain(subjects.with_classes(others))
    return np.stack([correlation(own, other) for own, other in zip(maps, found, strict=True)])


def _norms(maps: Floats) -> NDArray[np.float64]:
    return np.linalg.norm(maps.reshape(len(maps), -1).astype(np.float64), axis=1)
