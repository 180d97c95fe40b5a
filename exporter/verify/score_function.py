"""This module gives a score as a function of one image's class values, for float64 differences."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from ...runtime.spec import ScoreRecord

Array = npt.NDArray[Any]


def reading(score: ScoreRecord, class_id: int, region: Array | None) -> Callable[[Array], float]:
    """How the score of a class is read off a table [classes, *positions] of logits.

    A probability is read as ``p - 1``: its differences are the same, and where the model is sure
    they lose no digits.

    Args:
        score: What is differentiated.
        class_id: The class.
        region: What scores with positions are summed over.
    """
    weights = np.ones(()) if region is None else region.astype(np.float64)
    if score.kind == "channel":
        weights = weights / np.abs(weights).sum()

    def read(table: Array) -> float:
        both = np.concatenate([-table, table]) if score.single_logit else table
        if score.kind in ("probability", "log_probability"):
            odds = _odds_against(score, both, class_id)
            values = -np.log1p(odds) if score.kind == "log_probability" else -odds / (1 + odds)
        else:
            values = both[class_id]
        return float((values * weights).sum())

    return read


def _odds_against(score: ScoreRecord, logits: Array, class_id: int) -> Array:
    """``(1 - p) / p`` of a class, by position."""
    own = logits[class_id]
    if score.activation == "softmax":
        return np.exp(np.delete(logits, class_id, axis=0) - own).sum(axis=0)
    return np.exp(-own)
