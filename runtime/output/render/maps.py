"""These functions convert raw maps to heatmaps: status, scale and projection onto the image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...inputs.preprocess import Placement

Heatmap: TypeAlias = NDArray[np.float32]
Status: TypeAlias = Literal["ok", "zero", "constant", "nonfinite"]

# Relative differences between cells up to this are rounding, not evidence: the precision of a sum
# over a thousand channels in float32.
_ROUNDING = 1e-6


def map_status(raw: NDArray[Any], signed: bool = False) -> Status:
    """Return ``ok`` if a raw map can be drawn, else the reason.

    Args:
        raw: The map, [*cells].
        signed: Whether negative values are evidence, too; else they count as 0.

    Returns:
        ``ok``; ``nonfinite``: the map contains NaN or infinity; ``zero``: it contains no evidence;
        ``constant``: the evidence is the same everywhere, except for rounding.
    """
    if not np.isfinite(raw).all():
        return "nonfinite"
    evidence = _evidence(raw, signed)
    if not evidence.any():
        return "zero"
    spread = evidence.max() - evidence.min()
    return "constant" if spread <= _ROUNDING * np.abs(evidence).max() else "ok"


def peak(raw: NDArray[Any], signed: bool = False) -> float:
    """Return a map's maximum, or its largest magnitude if signed; 0 if it cannot be drawn."""
    if map_status(raw, signed) != "ok":
        return 0.0
    return float(np.abs(_evidence(raw, signed)).max())


def normalise(raw: NDArray[Any], signed: bool = False, scale: float | None = None) -> Heatmap:
    """Divide a raw map [*cells] by ``scale``: values in [0, 1], of a signed map in [-1, 1].

    Args:
        raw: The map; if it cannot be drawn (see `map_status`), the result is zero.
        signed: Whether negative values are evidence, too; else they become 0.
        scale: The value that becomes 1; None: the map's own `peak`.
    """
    own = peak(raw, signed)
    if not own:
        return np.zeros_like(raw, np.float32)
    # float64: a quotient of subnormal numbers would lose its digits.
    return (_evidence(raw, signed) / (own if scale is None else scale)).astype(np.float32)


def project(heatmap: Heatmap, placement: Placement) -> Heatmap:
    """Project a map [h, w] of the model's input onto the image [H, W]: the inverse of the crop.

    Each cell covers an equal share of the model's input. Values between cell centres are bilinear,
    beyond the outermost centres constant, and exactly 0 outside the crop.
    """
    return np.where(seen(placement), continued(heatmap, placement), np.float32(0))


def continued(heatmap: Heatmap, placement: Placement) -> Heatmap:
    """Project as `project`, but continue the outermost values outside the crop.

    Maps may have leading axes: [..., h, w].
    """
    rows, columns = (
        _interpolation(cells, positions * cells / size - 0.5)
        for cells, positions, size in zip(
            heatmap.shape[-2:], _positions(placement), placement.size, strict=True
        )
    )
    # Weights that sum to 1 in float32 can overshoot by one rounding.
    return np.clip(rows @ heatmap @ columns.T, -1, 1).astype(np.float32, copy=False)


def resample(values: Heatmap, extents: Sequence[int]) -> Heatmap:
    """Resize a map [..., *cells] in [-1, 1] to ``extents``, as `continued` does along each axis.

    Each cell covers an equal share of an axis. Leading axes stay.
    """
    for axis, extent in enumerate(extents, start=values.ndim - len(extents)):
        weights = interpolation(values.shape[axis], extent)
        values = np.moveaxis(np.tensordot(weights, values, axes=(1, axis)), 0, axis)
    # Weights that sum to 1 in float32 can overshoot by one rounding.
    return np.clip(values, -1, 1).astype(np.float32, copy=False)


def interpolation(cells: int, extent: int) -> Heatmap:
    """Return the matrix [extent, cells] that resamples an axis; see `resample`."""
    return _interpolation(cells, (np.arange(extent) + 0.5) * cells / extent - 0.5)


def seen(placement: Placement) -> NDArray[np.bool_]:
    """Return which of the image's pixels [H, W] are in the model's input."""
    rows, columns = (
        (positions >= 0) & (positions < size)
        for positions, size in zip(_positions(placement), placement.size, strict=True)
    )
    return rows[:, None] & columns


def _evidence(raw: NDArray[Any], signed: bool) -> NDArray[np.float64]:
    values = raw.astype(np.float64)
    return values if signed else np.maximum(values, 0)


def _positions(placement: Placement) -> list[NDArray[np.float64]]:
    """Return the centres of the image's rows and columns, in pixels of the model's input."""
    axes = zip(placement.image, placement.resized, placement.offset, strict=True)
    return [(np.arange(image) + 0.5) * resized / image - offset for image, resized, offset in axes]


def _interpolation(cells: int, positions: NDArray[np.float64]) -> Heatmap:
    """Return the matrix [len(positions), cells] that interpolates at positions on one axis."""
    positions = np.clip(positions, 0, cells - 1)
    low = positions.astype(np.intp)
    high = np.minimum(low + 1, cells - 1)
    matrix = np.zeros((len(positions), cells), np.float32)
    row = np.arange(len(positions))
    matrix[row, low] = low + 1 - positions
    matrix[row, high] += positions - low
    return matrix
