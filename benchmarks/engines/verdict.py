"""`judge` says whether an engine's values are those of ONNX Runtime's CPU."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]
# Another order of sums changes the last bits; a model amplifies them.
FORWARD_BOUND = 1e-3
# A ReLU or a maximum that flips by such a bit changes one image's gradient by up to 2e-2.
EXPLANATION_BOUND = 1e-2
SLACK = 4  # times the reference's own error
Values = Mapping[str, Array]


def judge(
    values: Values, expected: Values, again: Values, roles: Mapping[str, Sequence[str]]
) -> tuple[str, dict[str, float]]:
    """Compare an engine's values.

    Args:
        values: The engine's outputs.
        expected: The reference's.
        again: The reference's, computed in another order: how far rounding alone leads.
        roles: Names of outputs: ``forward`` and ``explanation``.

    Returns:
        ``right``, ``other forward`` (the model's own values differ already) or ``wrong``; and by
        output the median over the images of the relative L2 error.
    """
    names = [name for role in roles.values() for name in role]
    errors = {name: error(values[name], expected[name]) for name in names}
    own = {name: error(again[name], expected[name]) for name in names}

    def within(role: str, bound: float) -> bool:  # NaN is not
        return all(errors[name] <= max(bound, SLACK * own[name]) for name in roles[role])

    if not within("forward", FORWARD_BOUND):
        return "other forward", errors
    return "right" if within("explanation", EXPLANATION_BOUND) else "wrong", errors


def error(value: Array, expected: Array) -> float:
    """Median over the images of the relative L2 error; infinite if shapes differ."""
    if value.shape != expected.shape:
        return float("inf")
    a, b = (x.astype(np.float64).reshape(len(x), -1) for x in (value, expected))
    difference, size = np.linalg.norm(a - b, axis=1), np.linalg.norm(b, axis=1)
    # Of an empty map everything is wrong that is not empty.
    relative = np.where(difference == 0, 0.0, difference / np.maximum(size, 1e-30))
    return float(np.median(relative))
