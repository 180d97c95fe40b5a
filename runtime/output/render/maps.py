"""These functions convert raw maps to heatmaps: status and scale."""

from __future__ import annotations

from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ...methods.operations import ROUNDING

Heatmap: TypeAlias = NDArray[np.float32]
Status: TypeAlias = Literal["ok", "zero", "constant", "nonfinite"]


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
    return "constant" if spread <= ROUNDING * np.abs(evidence).max() else "ok"


def peak(raw: NDArray[Any], signed: bool = False, percentile: float = 100) -> float:
    """Return a percentile of a map's evidence; 0 if the map cannot be drawn.

    Args:
        raw: The map, [*cells].
        signed: Whether negative values are evidence, too; their magnitude counts then.
        percentile: 100 is the maximum. Cells without evidence do not count.
    """
    if map_status(raw, signed) != "ok":
        return 0.0
    found = np.abs(_evidence(raw, signed))
    return float(found.max() if percentile == 100 else np.percentile(found[found > 0], percentile))


def normalise(raw: NDArray[Any], signed: bool = False, scale: float | None = None) -> Heatmap:
    """Divide a raw map [*cells] by ``scale``: values in [0, 1], of a signed map in [-1, 1].

    What is beyond ``scale`` is cut off.

    Args:
        raw: The map; if it cannot be drawn (see `map_status`), the result is zero.
        signed: Whether negative values are evidence, too; else they become 0.
        scale: The value that becomes 1; None: the map's own `peak`.
    """
    own = peak(raw, signed)
    if not own:
        return np.zeros_like(raw, np.float32)
    # float64: a quotient of subnormal numbers would lose its digits.
    values = _evidence(raw, signed) / (own if scale is None else scale)
    return np.clip(values, -1, 1).astype(np.float32)


def dilated(values: Heatmap, cells: int) -> Heatmap:
    """Return a map [*cells] in which each cell has the strongest value near it.

    Args:
        values: In [0, 1] or, signed, [-1, 1]; the larger magnitude is the stronger.
        cells: How near, in cells along each axis; 0: the map as it is.
    """
    for axis in range(values.ndim if cells else 0):
        lines = np.moveaxis(values, axis, 0)
        found = lines.copy()
        for step in range(1, min(cells, len(lines) - 1) + 1):
            for into, out_of in ((found[step:], lines[:-step]), (found[:-step], lines[step:])):
                np.copyto(into, out_of, where=np.abs(out_of) > np.abs(into))
        values = np.moveaxis(found, 0, axis)
    return np.ascontiguousarray(values)


def _evidence(raw: NDArray[Any], signed: bool) -> NDArray[np.float64]:
    values = raw.astype(np.float64)
    return values if signed else np.maximum(values, 0)
