"""`impute` is the linear imputation of ROAD (Rong et al. 2022, 2202.00449).

Each removed pixel becomes the weighted mean of its eight neighbours, 1/6 of those beside it and
1/12 of those across; beyond the border there is nothing. The system is symmetric and positive
definite. It is solved by conjugate gradients, preconditioned by multigrid (a cycle over grids of
half the size, each time): six rounds do what takes plain conjugate gradients hundreds.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray

Floats = NDArray[Any]

_BESIDE, _ACROSS = 1 / 6, 1 / 12
_KERNEL = np.array(
    [[_ACROSS, _BESIDE, _ACROSS], [_BESIDE, 0, _BESIDE], [_ACROSS, _BESIDE, _ACROSS]], np.float32
)
_CLOSE = 1e-3  # of the image's range; the noise that ROAD adds is larger
_MOST_ROUNDS = 50
_DAMPING = 0.8  # of Jacobi's steps, which then smooth
_COARSEST = 4  # pixels of the shorter side


class _Grid(NamedTuple):
    """One grid: which pixels are free, and the sum of each pixel's neighbours' weights."""

    free: Floats  # [H, W, 1], 1 or 0
    weight: Floats  # [H, W, 1]; less than 1 at the border


def impute(image: Floats, removed: NDArray[np.bool_]) -> Floats:
    """Replace removed pixels by the weighted means of their neighbours.

    Args:
        image: float32 [H, W, C].
        removed: [H, W]; not all of them.

    Returns:
        float32 [H, W, C], exact to a thousandth of the image's range.
    """
    if not removed.any():
        return image
    grids = _grids(removed)
    free, weight = grids[0]
    found = np.where(removed[..., None], _guess(image, ~removed), image)
    residual = free * (_spread(found) - weight * found)
    better = _cycle(residual, grids)
    direction, size = better, _dot(residual, better)
    close = _CLOSE * float(np.ptp(image))
    for _ in range(_MOST_ROUNDS):
        product = free * (weight * direction - _spread(direction))
        change = _quotient(size, _dot(direction, product)) * direction
        found += change
        if np.abs(change).max() <= close:
            break
        before, residual = residual, residual - _quotient(size, _dot(direction, product)) * product
        better = _cycle(residual, grids)
        # Polak and Ribière's form, since a cycle is not quite symmetric.
        turn = _quotient(_dot(residual - before, better), size)
        direction, size = better + turn * direction, _dot(residual, better)
    return found


def _grids(removed: NDArray[np.bool_]) -> list[_Grid]:
    """Return the grids, each of half the size: a pixel is free if all that it covers are."""
    found: list[_Grid] = []
    while removed.any():
        weight = _spread(np.ones((*removed.shape, 1), np.float32))
        found.append(_Grid(removed[..., None].astype(np.float32), weight))
        if min(removed.shape) <= _COARSEST:
            break
        removed = _halved(found[-1].free)[..., 0] > 1 - 1e-3
    return found


def _cycle(residual: Floats, grids: list[_Grid]) -> Floats:
    """Return a cheap and rough solution of the system for a residual [H, W, C]."""
    free, weight = grids[0]
    found = _DAMPING * free * residual / weight
    if len(grids) == 1:
        return _smoothed(found, residual, grids[0], 20)
    found = _smoothed(found, residual, grids[0], 1)
    left = free * (residual - weight * found + _spread(found))
    # On a grid of half the size the same weights stand for a fourth of the curvature.
    coarse = _cycle(4 * _halved(left) * grids[1].free, grids[1:])
    height, width = residual.shape[:2]
    finer = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    found += free * finer.reshape(residual.shape)
    return _smoothed(found, residual, grids[0], 2)


def _smoothed(found: Floats, residual: Floats, grid: _Grid, rounds: int) -> Floats:
    """Do some of Jacobi's steps."""
    free, weight = grid
    pace = _DAMPING * free / weight
    for _ in range(rounds):
        found = found + pace * (residual - weight * found + _spread(found))
    return found


def _spread(values: Floats) -> Floats:
    """Return the weighted sum of each pixel's neighbours, [H, W, C]."""
    found = cv2.filter2D(values, -1, _KERNEL, borderType=cv2.BORDER_CONSTANT)
    return np.asarray(found, np.float32).reshape(values.shape)


def _halved(values: Floats) -> Floats:
    """Return the means over pixels of a grid of half the size, [H, W, C]."""
    height, width = ((extent + 1) // 2 for extent in values.shape[:2])
    found = cv2.resize(values, (width, height), interpolation=cv2.INTER_AREA)
    return np.asarray(found, np.float32).reshape(height, width, -1)


def _dot(first: Floats, second: Floats) -> NDArray[np.float64]:
    """Return the inner product of each channel, [C]."""
    return np.einsum("hwc,hwc->c", first, second, dtype=np.float64)


def _quotient(number: NDArray[np.float64], by: NDArray[np.float64]) -> Floats:
    """Return quotients [C], 0 where the divisor is 0: such a channel is solved."""
    return np.where(by == 0, 0, number / np.where(by == 0, 1, by)).astype(np.float32)


def _guess(image: Floats, given: NDArray[np.bool_]) -> Floats:
    """Guess missing pixels from the mean of what is given around them, at ever coarser scales."""
    mass = given[..., None].astype(np.float32)
    if given.all() or min(given.shape) <= 2:
        total = max(float(mass.sum()), 1.0)
        mean = (image * mass).sum(axis=(0, 1), dtype=np.float64) / total
        return np.where(given[..., None], image, mean).astype(np.float32)
    below, seen = _halved(image * mass), _halved(mass)
    known = seen[..., 0] > 0
    coarse = np.where(known[..., None], below / np.where(seen > 0, seen, 1), 0)
    height, width = given.shape
    filled = _guess(coarse.astype(np.float32), known)
    finer = cv2.resize(filled, (width, height), interpolation=cv2.INTER_LINEAR)
    return np.where(given[..., None], image, finer.reshape(image.shape)).astype(np.float32)
