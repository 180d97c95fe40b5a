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


def _evidence(raw: NDArray[Any], signed: bool) -> NDArray[np.float64]:
    values = raw.astype(np.float64)
    return values if signed else np.maximum(values, 0)
