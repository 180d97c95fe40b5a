"""Central differences of scores along every number of an input, with what they are worth."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

Array: TypeAlias = npt.NDArray[Any]


@dataclass(frozen=True)
class Precision:
    """A floating-point type's step and rounding.

    Attributes:
        step: A power of two, so that float32 represents the places themselves exactly.
        rounding: Of one operation, relative.
        tolerance: Of a gradient in float32, relative to its image's largest number.
    """

    step: float
    rounding: float
    tolerance: float


# A step's truncation is its square; rounding, divided by the step, is in the order of 1e-5.
SINGLE = Precision(2.0**-6, 2.0**-23, 5e-3)
DOUBLE = Precision(2.0**-12, 2.0**-52, 1e-3)
_OPERATIONS = 8  # rounding errors that add up before they are divided by the step
_NOTHING = 1e-6  # what a gradient in float32 leaves where terms cancel to 0
_CURVED = 0.02  # two steps that differ by more have a kink or a jump between them
_BENT = 0.2  # and so have the two sides of a place


@dataclass(frozen=True)
class Slopes:
    """Differences [N, K, *x] of scores [N, K].

    Attributes:
        central: The slopes, extrapolated from two steps.
        low: The smaller of the slopes to both sides.
        high: The larger one.
        bound: By how much they may be wrong.
        settled: Where both sides have a slope, which may be different ones.
        smooth: Where both have the same.
    """

    central: Array
    low: Array
    high: Array
    bound: Array
    settled: Array
    smooth: Array


def slopes(run: Callable[[Array], Array], x: Array, precision: Precision) -> Slopes:
    """Measure slopes with two steps to both sides.

    Args:
        run: Scores [M, N, K] of inputs [M, N, *x].
        x: The place [N, *x]; images do not influence each other.
        precision: Of what runs.
    """
    step, size = precision.step, x[0].size
    units = np.eye(size).reshape(size, 1, *x.shape[1:])
    here = run(x[None])
    far_up, far_down = (run(x + sign * step * units) for sign in (1, -1))
    up, down = (run(x + sign * step / 2 * units) for sign in (1, -1))
    noise = _OPERATIONS * precision.rounding * max(1.0, np.abs(here).max()) / step
    with np.errstate(invalid="ignore", over="ignore"):
        far, near = (far_up - far_down) / (2 * step), (up - down) / step
        right, left = (up - here) / (step / 2), (here - down) / (step / 2)
        far_right, far_left = (far_up - here) / step, (here - far_down) / step
        extrapolated = (4 * near - far) / 3
        unsure = np.abs(far - near)
        steady = unsure <= 0.1 * np.maximum(np.abs(far), np.abs(near)) + noise
        largest = np.where(steady, np.abs(extrapolated), 0.0).max(axis=0, keepdims=True)
        straight = unsure <= _CURVED * largest + noise
        bend = np.abs(right - left)  # a small kink's, too, which is no more than it is off by
        smooth = straight & (bend <= _BENT * largest + 2 * noise)
        apart = np.maximum(np.abs(far_right - right), np.abs(far_left - left))
        settled = apart <= _BENT * largest + 2 * noise
        bound = 2 * unsure + bend + noise + precision.tolerance * largest + _NOTHING

    def laid_out(values: Array) -> Array:
        return np.moveaxis(values, 0, -1).reshape(*values.shape[1:], *x.shape[1:])

    low, high = np.minimum(left, right), np.maximum(left, right)
    parts = (extrapolated, low, high, bound, settled, smooth)
    return Slopes(*(laid_out(part) for part in parts))
