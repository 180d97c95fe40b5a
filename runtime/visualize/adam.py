"""`Adam` turns gradients into steps of about one size (Kingma and Ba, 2015)."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

_MOMENTS, _TINY = (0.9, 0.999), 1e-12


class Adam:
    """The moments of the gradients so far.

    A complex number has one second moment, that of its magnitude: so the step turns with the
    gradient, and a shifted image gets a shifted step.

    Args:
        rate: About how far a number moves in a step.
    """

    def __init__(self, rate: float) -> None:
        self._rate, self._steps = rate, 0
        self._mean: NDArray[Any] | float = 0.0
        self._square: NDArray[Any] | float = 0.0

    def step(self, gradient: NDArray[Any]) -> NDArray[Any]:
        """Return the step upwards, of the gradient's shape."""
        first, second = _MOMENTS
        self._steps += 1
        self._mean = first * self._mean + (1 - first) * gradient
        self._square = second * self._square + (1 - second) * np.abs(gradient) ** 2
        mean = self._mean / (1 - first**self._steps)
        size = np.sqrt(self._square / (1 - second**self._steps))
        return self._rate * mean / (size + _TINY)
