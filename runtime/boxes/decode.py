"""`decode` reads all boxes of a detector, whatever its format, from the model's outputs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..settings import Activation
from ..spec.detector import BoxEntries, Detector

Floats = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Candidates:
    """All boxes of a batch of N images.

    Attributes:
        corners: float32 [N, boxes, 4]: left, top, right, bottom in pixels of the model's input.
        scores: float32 [N, boxes, classes], probabilities; of slots [N, boxes, 1].
        slot_classes: int64 [N, boxes], the classes of slots; None: every class has a score.
    """

    corners: Floats
    scores: Floats
    slot_classes: NDArray[np.int64] | None = None

    def best(
        self, row: int, classes: Sequence[int] | None = None
    ) -> tuple[Floats, NDArray[np.int64]]:
        """Return each box's best score and its class, [boxes] each, of one image.

        Boxes whose numbers are not finite have a score of 0.

        Args:
            row: The image.
            classes: The classes that count; None: all.
        """
        scores = self.scores[row]
        if self.slot_classes is not None:
            ids = self.slot_classes[row]
            found = scores[:, 0]
            if classes is not None:
                found = np.where(np.isin(ids, classes), found, np.float32(0))
        elif classes is None:
            ids = scores.argmax(axis=1)
            found = np.take_along_axis(scores, ids[:, None], axis=1)[:, 0]
        else:
            among = scores[:, list(classes)]
            ids, found = np.asarray(classes, np.int64)[among.argmax(axis=1)], among.max(axis=1)
        usable = np.isfinite(self.corners[row]).all(axis=1) & np.isfinite(found)
        return np.where(usable, found, np.float32(0)), ids.astype(np.int64, copy=False)


def decode(
    detector: Detector,
    outputs: Mapping[str, NDArray[Any]],
    size: tuple[int, int],
    activation: Activation,
) -> Candidates:
    """Read corners and probabilities of all boxes.

    Args:
        detector: Where they lie.
        outputs: The model's outputs by name.
        size: Height and width of the model's input.
        activation: What makes probabilities of scores that are none yet.

    Raises:
        InputError: The outputs hold other numbers of boxes than of scores.
    """
    numbers = _joined(outputs, detector.box_entries)
    scores = _joined(outputs, detector.score_entries)
    if not detector.activated:
        # With objectness both are independent of each other, whatever the record says of one.
        soft = activation == "softmax" and not detector.objectness_entries
        scores = _softmax(scores) if soft else _sigmoid(scores)
    if detector.no_object:
        scores = scores[:, :, :-1]
    if detector.objectness_entries:
        there = _joined(outputs, detector.objectness_entries)
        scores = scores * (there if detector.activated else _sigmoid(there))
    ids = None
    if detector.class_entries:
        ids = np.rint(_joined(outputs, detector.class_entries)[:, :, 0]).astype(np.int64)
    if numbers.shape[:2] != scores.shape[:2]:
        raise InputError(
            f"the outputs hold {numbers.shape[1]} boxes and {scores.shape[1]} scores; "
            "export the model again"
        )
    return Candidates(_corners(detector, numbers, size), scores, ids)


def entry_outputs(detector: Detector) -> list[str]:
    """Return the names of the outputs that `decode` reads."""
    return list(dict.fromkeys(one.output for one in detector.entries))


def _joined(outputs: Mapping[str, NDArray[Any]], levels: Sequence[BoxEntries]) -> Floats:
    """Return the entries of all levels, [N, boxes, entries]."""
    found: list[NDArray[Any]] = []
    for one in levels:
        rows = outputs[one.output]
        rows = rows if one.box_axis == 1 else rows.swapaxes(1, 2)
        found.append(rows[:, :, one.first : one.first + one.count])
    joined = found[0] if len(found) == 1 else np.concatenate(found, axis=1)
    return joined.astype(np.float32, copy=False)


def _corners(detector: Detector, numbers: Floats, size: tuple[int, int]) -> Floats:
    if detector.box_layout == "cxcywh":
        middle, half = numbers[:, :, :2], numbers[:, :, 2:] * np.float32(0.5)
        numbers = np.concatenate([middle - half, middle + half], axis=2).astype(np.float32)
    if detector.box_units == "pixels":
        return numbers
    height, width = size
    return numbers * np.array([width, height, width, height], np.float32)


def _sigmoid(logits: Floats) -> Floats:
    # With logaddexp, since exp(-x) alone overflows.
    return np.exp(-np.logaddexp(np.float32(0), -logits)).astype(np.float32, copy=False)


def _softmax(logits: Floats) -> Floats:
    powers = np.exp(logits - logits.max(axis=2, keepdims=True))
    return powers / powers.sum(axis=2, keepdims=True)
