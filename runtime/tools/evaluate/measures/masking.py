"""These measures show the model what a map keeps: average drop, increase and ADCC."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..subjects import Subjects

Floats = NDArray[Any]


def as_mask(maps: Floats) -> Floats:
    """Return maps [N, H, W] relative to their own maximum, [0, 1]; evidence against counts 0."""
    positive = np.maximum(maps, 0)
    largest = positive.max(axis=(1, 2), keepdims=True)
    return positive / np.where(largest > 0, largest, 1)


def masked_confidences(subjects: Subjects, masks: list[Floats]) -> NDArray[np.float64]:
    """Return the confidence of each image times each mask, [M, N].

    A masked pixel becomes 0 in the model's units: the mean colour of normalised images.
    """
    return subjects.confidences(len(masks), lambda m, n: _masked(subjects, masks[m], n)).astype(
        np.float64
    )


def average_drop(before: Floats, after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the share of the confidence [N] that is lost under masks, [M, N], 0 to 1.

    Chattopadhay et al. 2018 (Grad-CAM++, 1710.11063). A rise counts 0; so does a confidence of 0.
    """
    whole = np.where(before > 0, before, 1)
    return np.where(before > 0, np.clip((before - after) / whole, 0, 1), 0)


def increase(before: Floats, after: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return 1 where the confidence rises under the mask, else 0 (1710.11063)."""
    return (after > before).astype(np.float64)


def adcc(
    subjects: Subjects,
    masks: list[Floats],
    explain: Callable[[int, Subjects], Floats],
    drops: NDArray[np.float64],
) -> NDArray[np.float64]:
    """Return ADCC (Poppi et al. 2021, 2104.10252), [M, N], 0 to 1.

    It is the harmonic mean of three: 1 minus the drop; the coherency, which is how the map of the
    masked image correlates with the map, from 0 (opposite) to 1; and 1 minus the complexity, the
    mean of the map. An empty map has coherency 0.

    Args:
        subjects: The photographs.
        masks: The maps as masks, [N, H, W] for each candidate.
        explain: Makes the mask of a candidate for other images.
        drops: `average_drop`.
    """
    found: list[NDArray[np.float64]] = []
    for number, mask in enumerate(masks):
        seen = np.stack([_masked(subjects, mask, n) for n in range(subjects.count)])
        again = as_mask(explain(number, subjects.with_images(seen)))
        coherency = (1 + correlation(mask, again)) / 2
        coherency = np.where(mask.any(axis=(1, 2)) & again.any(axis=(1, 2)), coherency, 0)
        brevity = 1 - mask.mean(axis=(1, 2), dtype=np.float64)
        parts = np.stack([1 - drops[number], coherency, brevity])
        whole = (1 / np.where(parts > 0, parts, 1)).sum(axis=0)
        found.append(np.where((parts > 0).all(axis=0), 3 / whole, 0))
    return np.stack(found)


def correlation(first: Floats, second: Floats) -> NDArray[np.float64]:
    """Return Pearson's correlation of maps [N, ...] and [N, ...]: [N]; 0 if one is constant."""
    one, other = (values.reshape(len(values), -1).astype(np.float64) for values in (first, second))
    one, other = (values - values.mean(axis=1, keepdims=True) for values in (one, other))
    norms = np.linalg.norm(one, axis=1) * np.linalg.norm(other, axis=1)
    return np.where(norms > 0, (one * other).sum(axis=1) / np.where(norms > 0, norms, 1), 0)


def sparseness(maps: Floats) -> NDArray[np.float64]:
    """Return the Gini index of maps [N, H, W]: [N], 0 for equal values, 1 for a single one.

    Chalasani et al. 2020 (1810.06583), of the evidence for the class. An empty map has 0.
    """
    values = np.sort(np.maximum(maps, 0).reshape(len(maps), -1).astype(np.float64), axis=1)
    count, total = values.shape[1], values.sum(axis=1)
    place = 2 * np.arange(1, count + 1) - count - 1
    return np.where(total > 0, (values @ place) / (count * np.where(total > 0, total, 1)), 0)


def _masked(subjects: Subjects, mask: Floats, number: int) -> Floats:
    return subjects.images[number] * mask[number][..., None]
