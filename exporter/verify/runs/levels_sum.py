"""This module sums the maps of a detector's levels, as the reference of the common heatmap."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .running import Array


def sum_of_levels(maps: Sequence[Array]) -> Array:
    """The sum of maps [N, K, h, w], all resized bilinearly to the first one's grid.

    As ONNX's Resize with ``half_pixel`` coordinates: places outside are those at the border.
    """
    whole = maps[0].astype(np.float64)
    for other in maps[1:]:
        rows, columns = (_weights(other.shape[axis], whole.shape[axis]) for axis in (2, 3))
        whole = whole + np.einsum("ih,nkhw,jw->nkij", rows, other, columns)
    return whole


def _weights(cells: int, places: int) -> Array:
    """The share of each of ``cells`` in each of ``places``, [places, cells]."""
    at = np.clip((np.arange(places) + 0.5) * cells / places - 0.5, 0, cells - 1)
    low = np.minimum(at.astype(int), max(cells - 2, 0))
    share, found = at - low, np.zeros((places, cells))
    found[np.arange(places), low] += 1 - share
    found[np.arange(places), np.minimum(low + 1, cells - 1)] += share
    return found
