"""These functions compute scores and probabilities from the model's output."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..settings import WEIGHTED
from ..spec import ScoreRecord


def probabilities(score: ScoreRecord, output: NDArray[Any]) -> NDArray[Any] | None:
    """Convert one image's output, [classes, ...] or a single logit, to probabilities by class.

    Returns None if the scores are not those of a classification (``activation="none"``) or not of
    classes.
    """
    if score.kind in (*WEIGHTED, "channel"):
        return None
    if output.ndim:
        output = _by_class(score, output[None])[0]
    if score.activated:
        values = output.astype(np.float32)
    elif score.activation == "softmax":
        powers = np.exp(output - output.max(axis=0, keepdims=True), dtype=np.float32)
        values = powers / powers.sum(axis=0, keepdims=True)
    elif score.activation == "sigmoid":
        # With logaddexp, since exp(-x) alone overflows.
        values = np.exp(-np.logaddexp(0, -output.astype(np.float32)))
    else:
        return None
    if score.single_logit:
        values = values if values.ndim == 0 else values[0]
        return np.stack([1 - values, values])
    return values


def table_of(score: ScoreRecord, output: NDArray[Any]) -> NDArray[Any]:
    """Return the scores of all classes, [N, classes, *positions], from an output of scores.

    A single logit is the score of class 1; its negative is the score of class 0.
    """
    values = _by_class(score, output).astype(np.float32, copy=False)
    return np.concatenate([-values, values], axis=1) if score.single_logit else values


def scores_of(
    table: NDArray[Any], classes: NDArray[np.int64], region: NDArray[Any] | None = None
) -> NDArray[np.float32]:
    """Compute the artifact's ``scores``, float32 [N, K], in numpy.

    Args:
        table: [N, classes, *positions].
        classes: Ids, int64 [N, K].
        region: Weights of the positions, [N or 1, K or 1, *positions]; None: ones.
    """
    index = classes.reshape(*classes.shape, *[1] * (table.ndim - 2))
    chosen = np.take_along_axis(table, index, axis=1)
    weighted = chosen if region is None else chosen * region
    return weighted.sum(axis=tuple(range(2, table.ndim)), dtype=np.float64).astype(np.float32)


def _by_class(score: ScoreRecord, output: NDArray[Any]) -> NDArray[Any]:
    """Move the classes of a batch's output to axis 1, without other entries; [N] is [N, 1]."""
    if output.ndim == 1:
        return output[:, None]
    return np.moveaxis(output, score.class_axis or 1, 1)[:, score.class_offset or 0 :]
