"""Slopes of a score that is computed in float32: over long steps, extrapolated to none.

A step of a hundredth of the layer's value leaves a few units of 1e-4 of the slope to rounding, but
there the score bends. The difference of a step h to both sides is off by the square of h, and the
slopes to the right and to the left part by h, beside the jump of a kink at the point itself. Two
steps show both, a third one that no kink lies between them.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.random import Generator

from ..runs.running import Array

STEP = 1e-2  # of the size of the layer's value
_EPSILON = float(np.finfo(np.float32).eps)
_SHAKEN = 3  # evaluations that show the rounding
_AMPLIFIED = 4.3  # what the extrapolation makes of rounding over a step
_HIDDEN = 5e-4  # from this share of the gradient's length on, rounding hides the slope
_BETWEEN = 1e-3  # of that length: what the third step may be off by
_JUMP = 1e-2  # of that length: a larger jump tells too little


def rounding_of(score: Callable[[Array], float], start: Array, draw: Generator) -> float:
    """What values that float32 hardly tells apart make of a score."""
    here = score(start)
    signs = (draw.choice([-1.0, 1.0], start.shape) for _ in range(_SHAKEN))
    moved = (score(start * (1 + _EPSILON * one)) for one in signs)
    return max(4 * _EPSILON * abs(here), *(abs(one - here) for one in moved))


def is_hidden(rounding: float, step: float, scale: float) -> bool:
    """Whether rounding hides slopes of a gradient of the length ``scale``."""
    return _AMPLIFIED * rounding / step > _HIDDEN * scale


def slope_at(
    score: Callable[[float], float], here: float, step: float, rounding: float, scale: float
) -> tuple[float, float] | None:
    """The slope of a score along a direction at 0, and the jump of the slope there.

    Args:
        score: By the way along the direction.
        here: At 0.
        step: The longest step.
        rounding: Of the score.
        scale: The gradient's length.

    Returns:
        None if there are kinks within the step, or the jump is too large to tell anything.
    """
    middle, apart = list[float](), list[float]()
    for part in (1.0, 0.5, 0.25):
        right, left = score(part * step), score(-part * step)
        middle.append((right - left) / (2 * part * step))
        apart.append((right + left - 2 * here) / (part * step))
    slope = (16 * middle[2] - middle[0]) / 15
    jump = abs(4 * apart[2] - apart[0]) / 3
    between = abs(slope + (middle[0] - slope) / 4 - middle[1])
    noise = 2 * _AMPLIFIED * rounding / step
    if between > _BETWEEN * scale + noise or jump > _JUMP * scale + 4 * noise:
        return None
    return slope, jump
