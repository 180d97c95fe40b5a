"""This module gives a score as a function of one image's class values, for float64 differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ....runtime.spec import ScoreRecord
from ....runtime.spec.detector import EDGES

Array = npt.NDArray[Any]


def score_of(record: ScoreRecord, table: Array, selected: Array, region: Array | None) -> float:
    """The score that is read off one image's table of logits [classes, *positions].

    A probability is read as ``p - 1``: its differences are the same, and where the model is sure
    they lose no digits.

    Args:
        record: What is differentiated.
        table: The logits; any shape for a linear score; the embedding for a similarity.
        selected: The class; of a detector class, box and target; or the weights of a linear score;
            or a text's embedding.
        region: What scores with positions are summed over.
    """
    if record.kind == "similarity" and record.similarity is not None:
        text = selected.astype(np.float64)
        cosine = table @ text / (np.linalg.norm(table) * np.linalg.norm(text))
        return float(record.similarity.scale * cosine)
    if record.kind == "linear":
        return float((table * selected.astype(np.float64)).sum())
    if record.box_axis is not None:
        return float(table[_place(record, table.shape[0], *map(int, selected))])
    class_id = int(selected)
    weights = np.ones(()) if region is None else region.astype(np.float64)
    if record.kind == "channel":
        weights = weights / np.abs(weights).sum()
    both = np.concatenate([-table, table]) if record.single_logit else table
    if record.kind in ("probability", "log_probability"):
        odds = _odds_against(record, both, class_id)
        values = -np.log1p(odds) if record.kind == "log_probability" else -odds / (1 + odds)
    else:
        values = both[class_id]
    return float((values * weights).sum())


def _place(record: ScoreRecord, entries: int, class_id: int, box: int, target: int) -> int:
    """Where a detector's flat table has the score of a class of a box, or one of its edges."""
    each = record.classes + EDGES
    entry = class_id if target == 0 else record.classes + target - 1
    return entry * (entries // each) + box if record.box_axis == 2 else box * each + entry


def _odds_against(record: ScoreRecord, logits: Array, class_id: int) -> Array:
    """``(1 - p) / p`` of a class, by position."""
    own = logits[class_id]
    if record.activation == "softmax":
        return np.exp(np.delete(logits, class_id, axis=0) - own).sum(axis=0)
    return np.exp(-own)
