"""These functions measure how much a map changes once the model's weights are shuffled.

A map that shows what the model has learned must change with it. Both measures compare the raw maps
of one image and class, each at its own grid, on the model as it is and on shuffled copies; see
`Randomised`.

- `randomisation` is the mean rank correlation over the stages of a cascade (Adebayo et al., 2018,
  "Sanity Checks for Saliency Maps", arXiv:1810.03292); lower is better.
- `randomisation_entropy` is the relative rise of the map's entropy on the fully shuffled model
  (efficient MPRT; Hedström et al., 2024, arXiv:2401.06465); higher is better.

Known limits. A rank correlation is biased by noise: a noisy map correlates less with any other, so
a noisy method gets a better value although its maps say no more. The order of the cascade biases it
as well: the layers near the input keep their weights for longest and hand on much of the image,
which keeps maps alike. The rise of entropy compares no maps and needs no order, but depends on the
number of bins, and has no meaning for a map of hardly any entropy. Hedström et al. describe both
(arXiv:2401.06465, and with more experiments arXiv:2405.02383). The values compare methods on one
model; they prove no map right.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 100  # of the histogram whose entropy is measured


def randomisation(intact: NDArray[Any], shuffled: Sequence[NDArray[Any]]) -> float:
    """Return the mean rank correlation of a map with those on the shuffled models.

    Args:
        intact: The map on the model as it is, [*space].
        shuffled: The maps for the same class in all stages, each [*space]; one or more.

    Returns:
        -1 to 1, lower is better; NaN if a map has a number that is not finite.
    """
    return float(np.mean([spearman(intact, one) for one in shuffled]))


def randomisation_entropy(intact: NDArray[Any], shuffled: NDArray[Any]) -> float:
    """Return how much the entropy of a map rises on the fully shuffled model, ``(H' - H) / H``.

    Args:
        intact: The map on the model as it is, [*space].
        shuffled: The map for the same class on the shuffled one, [*space].

    Returns:
        -1 or more, higher is better; NaN if the map on the model as it is has no entropy (it is
        constant), or a map has a number that is not finite.
    """
    before, after = entropy(intact), entropy(shuffled)
    return (after - before) / before if before > 0 else float("nan")


def spearman(a: NDArray[Any], b: NDArray[Any]) -> float:
    """Return Spearman's rank correlation of two maps; equal numbers share their mean rank.

    A constant map has no order. Beside a map that has one it counts as 0: nothing of the order is
    left. Two constant maps count as 1: nothing has changed, and a method that always gives a
    constant map must not pass the test.

    Args:
        a: A map of any shape.
        b: Another of that shape.

    Returns:
        -1 to 1; NaN if a map has a number that is not finite, or none at all.

    Raises:
        ValueError: The maps have different shapes.
    """
    if a.shape != b.shape:
        raise ValueError(f"the maps have different shapes, {a.shape} and {b.shape}")
    if not (a.size and np.isfinite(a).all() and np.isfinite(b).all()):
        return float("nan")
    x, y = _centred_ranks(a), _centred_ranks(b)
    lengths = float(np.linalg.norm(x)), float(np.linalg.norm(y))
    if not all(lengths):
        return 0.0 if any(lengths) else 1.0
    return float(np.clip(x @ y / (lengths[0] * lengths[1]), -1, 1))


def entropy(values: NDArray[Any], bins: int = BINS) -> float:
    """Return the Shannon entropy, in nats, of the histogram of a map's numbers.

    Args:
        values: A map of any shape.
        bins: Number of bins, of equal width from its smallest number to its largest.

    Returns:
        0 (a constant map) to ``log(bins)``; NaN if a number is not finite, or there is none.
    """
    if not (values.size and np.isfinite(values).all()):
        return float("nan")
    counts, _ = np.histogram(_spread_out(values), bins)
    shares = counts[counts > 0] / values.size
    return float(-(shares * np.log(shares)).sum()) + 0.0  # not -0


def _spread_out(values: NDArray[Any]) -> NDArray[np.float64]:
    """The numbers scaled to 0 to 1: `np.histogram` refuses bins below the steps of the type."""
    wide = values.astype(np.float64).ravel()
    low = wide.min()
    span = wide.max() - low
    return (wide - low) / span if span > 0 else np.zeros_like(wide)


def _centred_ranks(values: NDArray[Any]) -> NDArray[np.float64]:
    """The rank of each number, equal ones at the middle of theirs, less the mean rank."""
    _, place, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks = last - (counts - 1) / 2
    return ranks[place.ravel()] - (values.size + 1) / 2
