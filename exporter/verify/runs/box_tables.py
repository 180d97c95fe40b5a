"""This module reads a detector's boxes off the model's own outputs, as its record says.

It works on NumPy arrays and on PyTorch tensors, whose gradients it keeps: it is the reference of
what the artifact computes inside. Scores are what the artifact differentiates: logits, or with
objectness the logarithm of the probability.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from ....runtime.spec import Spec
from ....runtime.spec.detector import BoxEntries, Detector
from .running import Array

_SMALLEST = 1e-30  # a probability that underflows has no logarithm


def readable(spec: Spec, outputs: Sequence[str]) -> bool:
    """Whether boxes and the scores that are differentiated can be read off the model's outputs."""
    detector = spec.detector
    assert detector is not None
    entries = [*detector.box_entries, *detector.score_entries]
    softmax = detector.activated and spec.score.activation == "softmax"
    return not softmax and all(one.output in outputs for one in entries)


def edges_of(detector: Detector, outputs: Mapping[str, Any], size: Sequence[int], xp: Any) -> Any:
    """Left, top, right and bottom of all boxes in pixels, [N, boxes, 4].

    Args:
        detector: The record.
        outputs: The model's outputs by name.
        size: Height and width of its input.
        xp: The module of the arrays, ``numpy`` or ``torch``.
    """
    numbers = _entries(detector.box_entries, outputs, xp)
    if detector.box_layout == "cxcywh":
        centres, halves = numbers[..., :2], numbers[..., 2:] / 2
        numbers = xp.concatenate([centres - halves, centres + halves], -1)
    if detector.box_units == "unit":
        scale = xp.ones_like(numbers[:1, :1])
        scale[..., 0::2], scale[..., 1::2] = size[1], size[0]
        numbers = numbers * scale
    return numbers


def scores_of_boxes(spec: Spec, outputs: Mapping[str, Any], xp: Any) -> Any:
    """Scores of all boxes, [N, boxes, classes]; of slots [N, boxes, 1], of the slot's own class."""
    detector = spec.detector
    assert detector is not None
    found = _entries(detector.score_entries, outputs, xp)
    if detector.no_object:
        found = found[..., :-1]
    there = None
    if detector.objectness_entries is not None:
        there = _entries(detector.objectness_entries, outputs, xp)
    if not detector.activated:
        return found if there is None else -_softplus(-found, xp) - _softplus(-there, xp)
    if there is not None:
        return xp.log(found + _SMALLEST) + xp.log(there + _SMALLEST)
    return xp.log(found + _SMALLEST) - xp.log1p(_SMALLEST - found)


def classes_of_slots(detector: Detector, outputs: Mapping[str, Any]) -> Array | None:
    """Class ids of slots, int64 [N, slots]; None where boxes have scores of all classes."""
    if detector.class_entries is None:
        return None
    return np.rint(_entries(detector.class_entries, outputs, np)[..., 0]).astype(np.int64)


def selected_scores(detector: Detector, scores: Any, edges: Any, selected: Array, xp: Any) -> Any:
    """What is differentiated, [N, K], of class, box and target [N, K, 3]."""
    rows = np.arange(len(selected))[:, None]
    classes, boxes, targets = np.moveaxis(selected, 2, 0)
    if detector.class_entries is not None:
        classes = np.zeros_like(classes)
    of_classes = scores[rows, boxes, classes]
    of_edges = edges[rows, boxes, np.maximum(targets - 1, 0)]
    return xp.where(xp.asarray(targets == 0), of_classes, of_edges)


def _entries(levels: Sequence[BoxEntries], outputs: Mapping[str, Any], xp: Any) -> Any:
    """Entries of all boxes, [N, boxes, entries]."""
    found: list[Any] = []
    for one in levels:
        value = outputs[one.output]
        value = value if one.box_axis == 1 else value.swapaxes(1, 2)
        found.append(value[:, :, one.first : one.first + one.count])
    return found[0] if len(found) == 1 else xp.concatenate(found, 1)


def _softplus(x: Any, xp: Any) -> Any:
    """``log(1 + exp(x))``, without overflow."""
    return xp.log1p(xp.exp(-xp.abs(x))) + x * (x > 0)


def choose_boxes(spec: Spec, outputs: Mapping[str, Array], count: int) -> Array:
    """Requests about the best box of each level, then about further boxes by rank.

    The first are about class scores, as many again about the four edges in turn.

    Returns:
        int64 [N, count, 3]: class, box and target.
    """
    detector = spec.detector
    assert detector is not None
    scores = np.nan_to_num(scores_of_boxes(spec, outputs, np).astype(np.float64))
    own, rows = classes_of_slots(detector, outputs), list[Array]()
    for row, table in enumerate(scores):
        best = table.max(axis=1)
        ranked = [int(box) for box in np.argsort(-best, kind="stable")]
        parts = [
            slice(level.first, level.first + level.count)
            for level in detector.levels
            if level.first is not None and level.count
        ]
        leaders = [int(part.start + best[part].argmax()) for part in parts if best[part].size]
        leaders.sort(key=lambda box: -best[box])
        boxes = list(dict.fromkeys([*leaders, *ranked[:count]]))
        half = max(1, len(leaders) or (count + 1) // 2)
        wanted = list[tuple[int, int, int]]()
        for place in range(count):
            box = boxes[place % half] if half <= len(boxes) else boxes[place % len(boxes)]
            target = 0 if place < half else 1 + (place - half) % 4
            class_id = int(table[box].argmax()) if own is None else int(own[row, box])
            wanted.append((class_id, box, target))
        rows.append(np.array(wanted, np.int64).reshape(count, 3))
    return np.stack(rows)
