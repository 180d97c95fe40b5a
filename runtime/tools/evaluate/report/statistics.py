"""`interval` and `paired` say how sure a mean, and a difference of means, is.

Photographs are what is drawn: all numbers of one photograph, such as those of its classes, count
as one.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Values = NDArray[np.float64]

RESAMPLES = 2000
FLIPS = 10_000
LEAST = 6
"""Photographs that a test needs: of fewer, even the rarest outcome is no rarer than 1 in 20."""
LEVEL = 0.95
_AT_ONCE = 1 << 22  # numbers in memory


def interval(values: Values, seed: int = 0) -> tuple[float, float] | None:
    """Return the bootstrap interval of a mean at `LEVEL`, by percentiles (Efron 1979).

    Args:
        values: One for each photograph, [N].
        seed: Of the resamples.

    Returns:
        Lower and upper end; None for fewer than two photographs.
    """
    if len(values) < 2:
        return None
    generator = np.random.default_rng(seed)
    step = max(1, _AT_ONCE // len(values))
    means: list[Values] = []
    for start in range(0, RESAMPLES, step):
        drawn = generator.integers(0, len(values), (min(step, RESAMPLES - start), len(values)))
        means.append(values[drawn].mean(axis=1))
    low, high = np.quantile(np.concatenate(means), [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    return float(low), float(high)


def paired(first: Values, second: Values, seed: int = 0) -> float | None:
    """Return the p-value of a difference between means over the same photographs, two-sided.

    It is the permutation test by signs (Fisher 1935): without a difference, each photograph's could
    as well have the other sign. With up to 13 photographs all combinations are tried, else
    `FLIPS` random ones.

    Args:
        first: One number for each photograph, [N].
        second: Likewise.
        seed: Of the random signs.

    Returns:
        The p-value; None for fewer than `LEAST` photographs.
    """
    differences = first - second
    count = len(differences)
    if count < LEAST:
        return None
    seen = abs(differences.mean()) * (1 - 1e-12)
    if 2**count <= FLIPS:
        numbers = np.arange(2**count)[:, None] >> np.arange(count) & 1
        means = (1.0 - 2.0 * numbers) @ differences / count
        return float((np.abs(means) >= seen).mean())
    generator, step, more = np.random.default_rng(seed), max(1, _AT_ONCE // count), 0
    for start in range(0, FLIPS, step):
        signs = generator.integers(0, 2, (min(step, FLIPS - start), count), np.int8)
        more += int((np.abs((1.0 - 2.0 * signs) @ differences / count) >= seen).sum())
    return (1 + more) / (1 + FLIPS)


def holm(values: list[float]) -> list[float]:
    """Correct p-values for their number (Holm 1979), in their order."""
    order = np.argsort(values)
    found, largest = [0.0] * len(values), 0.0
    for place, number in enumerate(order):
        largest = max(largest, min(1.0, (len(values) - place) * values[number]))
        found[number] = largest
    return found
