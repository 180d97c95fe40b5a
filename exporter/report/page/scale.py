"""All differences on a page are drawn on one scale: a logarithmic one, from 1e-9 to 1."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ....runtime.inputs.image_files import Pixels
from ...verify.verdict.findings import AT_LEAST, Finding

LOWEST = -9.0
"""The decade where the scale begins; it ends at 1."""
TICKS = [(f"1e{decade}" if decade else "1", round(100 * (1 - decade / LOWEST), 1))
         for decade in (-9, -6, -3, 0)]  # fmt: skip
"""Label and place, in percent, of the scale's ticks."""

_INK = 215  # darkness of a difference of 1


@dataclass(frozen=True)
class Track:
    """A difference on the scale.

    Attributes:
        value: Where it ends, in percent.
        bound: Where its bound is.
    """

    value: float
    bound: float

    @property
    def over(self) -> float:
        """How far it reaches beyond the bound."""
        return round(max(self.value - self.bound, 0.0), 1)


def track(one: Finding) -> Track | None:
    """Return a finding on the scale; None: it is no difference with a bound.

    An infinite difference, of which JSON has no number, reaches the end.
    """
    if one.check in AT_LEAST or not one.threshold:
        return None
    if one.value is None:
        return Track(100.0, along(one.threshold)) if one.status == "fail" else None
    return Track(along(one.value), along(one.threshold))


def along(number: float) -> float:
    """Return a number's place on the scale, in percent; beyond its ends that of the end."""
    if number == math.inf:
        return 100.0
    exponent = math.log10(number) if number > 0 else LOWEST
    return round(100 * min(1.0, max(0.0, 1 - exponent / LOWEST)), 1)


def shaded(difference: npt.NDArray[np.float32]) -> Pixels:
    """Draw differences [H, W] from 0 to 1 on the scale, dark on white: RGB uint8."""
    decades = np.log10(np.maximum(difference, 10.0**LOWEST))
    ink = 255 - np.rint(_INK * np.clip(1 - decades / LOWEST, 0, 1)).astype(np.uint8)
    return np.repeat(ink[:, :, None], 3, axis=2)
