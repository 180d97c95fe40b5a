"""From the model's output to probabilities."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .spec import Score


def probabilities(score: Score, output: NDArray[Any]) -> NDArray[Any] | None:
    """Turn one picture's output, [classes, ...] or a single logit, into probabilities by class.

    None where the scores are no classification (``activation="none"``), or not those of classes.
    """
    if score.kind in ("linear", "channel"):
        return None
    if output.ndim:
        output = np.moveaxis(output, (score.class_axis or 1) - 1, 0)[score.class_offset or 0 :]
    if score.activated:
        values = output.astype(np.float32)
    elif score.activation == "softmax":
        powers = np.exp(output - output.max(axis=0, keepdims=True), dtype=np.float32)
        values = powers / powers.sum(axis=0, keepdims=True)
    elif score.activation == "sigmoid":
        # Through logaddexp, since exp(-x) alone overflows.
        values = np.exp(-np.logaddexp(0, -output.astype(np.float32)))
    else:
        return None
    if score.single_logit:
        values = values if values.ndim == 0 else values[0]
        return np.stack([1 - values, values])
    return values
