"""This module brings the slots of a detector that selects inside into one order.

Slots are sorted by score. Two scores that differ by less than their rounding come in either order,
and the artifact and its source round differently; what a slot holds must be the same.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from ....runtime.spec.detector import Detector
from .running import Array, Tensors

_CLOSE = 1e-5  # of two scores, relative to the largest one


def slots_in_order(
    detector: Detector | None, found: Tensors, given: Mapping[str, Array]
) -> Tensors:
    """Return ``found`` with slots of close scores in the order that ``given`` has them.

    Args:
        detector: The record; other models, and detectors without slots, keep their outputs.
        found: The outputs to order.
        given: Outputs of the same names, whose order counts.
    """
    if detector is None or not detector.class_entries:
        return found
    ordered = dict(found)
    for scores in detector.score_entries:
        name, axis = scores.output, scores.box_axis
        if name not in found or name not in given or found[name].shape != given[name].shape:
            continue
        rows = [
            _ordered(np.moveaxis(own, axis - 1, 0), np.moveaxis(wanted, axis - 1, 0), scores.first)
            for own, wanted in zip(found[name], given[name], strict=True)
        ]
        ordered[name] = np.moveaxis(np.stack(rows), 1, axis)
    return ordered


def _ordered(own: Array, wanted: Array, score: int) -> Array:
    """The slots [slots, entries], each at the place of the nearest one with a close score."""
    close = _CLOSE * max(float(np.abs(wanted[:, score]).max(initial=0.0)), 1e-30)
    left, order = np.ones(len(own), bool), list[int]()
    for slot in wanted:
        usable = left & (np.abs(own[:, score] - slot[score]) <= close)
        if not usable.any():
            return own
        far = np.where(usable, np.abs(own - slot).sum(1), np.inf)
        order.append(int(far.argmin()))
        left[order[-1]] = False
    return own[order]
