"""This module defines when tensors are equal: it compares their errors with PyTorch's own.

float32 is no exact arithmetic: near a kink one ReLU or arg-max that flips changes a gradient by
1e-3 and more, in PyTorch as well; float16 even more so. So an error counts as small if it is no
more than a few times what PyTorch itself, in the model's own precision, shows against float64 on
the same inputs.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
FLOOR = 1e-6  # below this, relative errors are rounding noise
SLACK = 4.0  # how many times PyTorch's own error is still accepted
# Of the score over the layer's size: a gradient this long moves it by no more than its rounding.
UNFELT = 128 * float(np.finfo(np.float32).eps)
CEILING = 0.5  # but no error beyond this: where PyTorch itself is wrong, nothing is proven


@dataclass(frozen=True)
class Check:
    """The comparison of one tensor with its reference.

    Attributes:
        name: What was compared.
        errors: Relative L2 error for each image.
        own: The same of PyTorch in the model's precision.
        cosine: Smallest cosine similarity over the images.
        own_cosine: The same of PyTorch in the model's precision.
    """

    name: str
    errors: npt.NDArray[np.float64]
    own: npt.NDArray[np.float64]
    cosine: float
    own_cosine: float

    @property
    def bound(self) -> float:
        """Largest error accepted."""
        return min(CEILING, SLACK * max(FLOOR, float(self.own.max(initial=0.0))))

    @property
    def median_bound(self) -> float:
        """Largest median of the errors accepted."""
        return min(CEILING, SLACK * max(FLOOR, float(np.median(self.own))))

    @property
    def least_cosine(self) -> float:
        """Smallest cosine accepted."""
        return min(0.9999, 1 - SLACK * (1 - self.own_cosine))

    @property
    def largest(self) -> float:
        """The largest error."""
        return float(self.errors.max(initial=0.0))

    @property
    def median(self) -> float:
        """The median of the errors."""
        return float(np.median(self.errors))

    @property
    def passed(self) -> bool:
        """Whether the median or the maximum is within its bound, and the direction agrees."""
        close = self.largest <= self.bound or self.median <= self.median_bound
        return close and self.aligned

    @property
    def aligned(self) -> bool:
        """Whether the direction agrees."""
        return self.cosine >= self.least_cosine

    @property
    def by_median(self) -> bool:
        """Whether it passed for the median of the errors, not for the largest."""
        return self.passed and self.largest > self.bound

    @property
    def everywhere(self) -> bool:
        """Whether the error of each image is larger than any accepted one."""
        return bool(self.errors.size) and float(self.errors.min()) > self.bound

    @property
    def deciding(self) -> tuple[float, float]:
        """The error that decides, and its bound."""
        pair = (self.median, self.median_bound) if self.by_median else (self.largest, self.bound)
        return three_digits(pair[0]), three_digits(pair[1])

    def fault(self) -> str:
        """Why the tensors are not equal: each figure with its bound."""
        error, bound = self.deciding
        parts = [f"error {error:.1e} (bound {bound:.1e})"]
        if self.errors.size > 1:
            parts.append(f"median {self.median:.1e} (bound {self.median_bound:.1e})")
        least = "" if self.aligned else f" (at least {self.least_cosine:.6f})"
        return f"{', '.join(parts)}, cosine {self.cosine:.6f}{least}"


def relative_errors(
    actual: Array, expected: Array, floor: npt.NDArray[np.float64] | float = 0.0
) -> npt.NDArray[np.float64]:
    """Relative L2 error for each entry along axis 0; 0 where both vanish, inf where one is NaN.

    What is no larger than ``floor`` counts as 0, and so do infinities that both have in a place.
    """
    a, e = _rows(actual, expected)
    with np.errstate(invalid="ignore"):  # infinities
        difference, size = np.linalg.norm(a - e, axis=1), np.linalg.norm(a, axis=1)
        norm = np.maximum(np.linalg.norm(e, axis=1), floor)
        difference = np.where((size <= floor) & (norm <= floor), 0.0, difference)
        errors = np.where(norm > 0, difference / np.where(norm > 0, norm, 1.0), difference)
    return np.where(np.isfinite(errors), errors, np.inf)


def smallest_cosine(
    actual: Array, expected: Array, floor: npt.NDArray[np.float64] | float = 0.0
) -> float:
    """Smallest cosine similarity over axis 0; entries no larger than ``floor`` count as equal."""
    a, e = _rows(actual, expected)
    with np.errstate(invalid="ignore"):
        norms = np.linalg.norm(a, axis=1) * np.linalg.norm(e, axis=1)
        dots = (a * e).sum(axis=1)
        same = (np.linalg.norm(a, axis=1) <= floor) & (np.linalg.norm(e, axis=1) <= floor)
        cosines = np.where(same, 1.0, dots / np.where(norms > 0, norms, 1.0))
    return float(np.min(np.nan_to_num(cosines, nan=-1.0), initial=1.0))


def _rows(
    actual: Array, expected: Array
) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
    """Both in double, a row for each image, with 0 for infinities that both have in a place.

    A model may mask classes by -inf, always the same ones.
    """
    a, e = (one.reshape(len(one), -1).astype(np.float64) for one in (actual, expected))
    same = np.isinf(e) & (a == e) if a.shape == e.shape else np.False_
    return np.where(same, 0.0, a), np.where(same, 0.0, e)


def compare(
    name: str, actual: Array, truth: Array, own: Array, floor: npt.NDArray[np.float64] | float = 0.0
) -> Check:
    """Compare ``actual`` with ``truth`` (float64); ``own`` is PyTorch's own result."""
    return Check(
        name,
        relative_errors(actual, truth, floor),
        relative_errors(own, truth, floor),
        smallest_cosine(actual, truth, floor),
        smallest_cosine(own, truth, floor),
    )


def merge(group: Sequence[Check]) -> Check:
    """One check over the images of several."""
    return Check(
        group[0].name,
        np.concatenate([check.errors for check in group]),
        np.concatenate([check.own for check in group]),
        min(check.cosine for check in group),
        min(check.own_cosine for check in group),
    )


def three_digits(number: float) -> float:
    """Round to three digits: an error is no exact figure, and metadata should not vary with it."""
    return float(f"{number:.2e}")
