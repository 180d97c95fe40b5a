"""`map_errors` compares maps of the graph with a formula of the artifact's own tensors."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
import numpy.typing as npt

from ..runs.running import Array

Near: TypeAlias = Callable[[Array], Array]
"""A tensor, or one that differs from it in the last digits."""
_ROUNDING = 1e-6  # a dozen units in float32's last place
# How many times that of a perturbation of this size: sums run in another order, and repeated
# squaring leaves a little more of a second component that is nearly as large as the first.
_SLACK = 100.0


@dataclass(frozen=True)
class MapErrors:
    """Relative L2 errors of maps, and those that rounding explains; both for each map."""

    errors: npt.NDArray[np.float64]
    allowed: npt.NDArray[np.float64]

    @property
    def right(self) -> npt.NDArray[np.bool_]:
        """Which maps are right."""
        return self.errors <= self.allowed

    @property
    def worst(self) -> int:
        """Which map is the worst: the one with the largest error, of the wrong ones if any are."""
        return int(np.lexsort((self.errors, ~self.right))[-1])


def map_errors(
    actual: Array, formula: Callable[[Near], Array], bound: float, generator: np.random.Generator
) -> MapErrors:
    """Compare maps [N, K, *space] with what a formula makes.

    Where terms cancel, or two components are equally large, a map depends on the last digits of its
    inputs. So an error is small if disturbing these digits changes the map as much.

    Args:
        actual: What the graph makes.
        formula: Makes the maps; it must read each of its tensors through its argument.
        bound: The error that is small in any case.
        generator: Of the disturbance.
    """

    def disturbed(tensor: Array) -> Array:
        moved = tensor * (1 + _ROUNDING * generator.standard_normal(tensor.shape))
        return moved.astype(tensor.dtype)

    truth, near = formula(lambda tensor: tensor), formula(disturbed)
    if actual.shape != truth.shape:
        return MapErrors(np.array([np.inf]), np.array([bound]))
    return MapErrors(_errors(actual, truth), bound + _SLACK * _errors(near, truth))


def _errors(actual: Array, expected: Array) -> npt.NDArray[np.float64]:
    """The error of each map; what both have in a place counts as 0, finite or not."""
    a, e = (maps.reshape(-1, maps[0, 0].size).astype(np.float64) for maps in (actual, expected))
    same = (a == e) | (np.isnan(a) & np.isnan(e))
    with np.errstate(invalid="ignore"):  # infinities
        difference = np.linalg.norm(np.where(same, 0, a - e), axis=1)
    size = np.linalg.norm(np.where(same & ~np.isfinite(e), 0, e), axis=1)
    with np.errstate(invalid="ignore"):
        errors = np.where(difference > 0, difference / np.where(size > 0, size, 1), difference)
    return np.where(np.isfinite(errors), errors, np.inf)
