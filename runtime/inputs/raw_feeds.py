"""`raw_feeds` checks a caller's own tensors, and what they select, against an artifact's inputs."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..session.session import Session, Tensors
from ..spec.detector import TARGETS
from .batch import only_input, positions_of, region_input
from .region import check_region
from .score_weights import check_weights, takes_weights
from .selection import check_outputs


@dataclass(frozen=True, eq=False)
class Selection:
    """The values of the inputs that select scores; None: the artifact's default.

    Attributes:
        class_index: Classes, integers [N or 1, K].
        region: Weights of the positions, [N or 1, K or 1, *positions].
        score_weights: Weights of a linear score, [N or 1, K, *output].
        output_index: Places of the outputs that the classes are of, integers [N or 1, K or 1].
        box_index: Boxes of a detector, integers [N or 1, K or 1].
        box_target: What is explained of them, likewise.
    """

    class_index: Any = None
    region: Any = None
    score_weights: Any = None
    output_index: Any = None
    box_index: Any = None
    box_target: Any = None


def raw_feeds(
    session: Session, arrays: NDArray[Any] | Mapping[str, NDArray[Any]], selection: Selection
) -> Tensors:
    """Return an artifact's inputs by name.

    Args:
        session: The artifact.
        arrays: The inputs by name, which may include those of the selection, or the only input.
        selection: What to explain.

    Raises:
        InputError: A value does not fit its input, or a box does not exist.
        ClassError: A class does not exist.
    """
    spec = session.spec
    named = arrays if isinstance(arrays, Mapping) else {only_input(session): arrays}
    feeds = {name: np.asarray(value) for name, value in named.items()}
    class_index, score_weights = selection.class_index, selection.score_weights
    if spec.class_index is None:
        score_weights = feeds.pop(spec.selector, score_weights)
    else:
        class_index = feeds.pop(spec.class_index, class_index)
    boxes = _boxes_out_of(feeds, session, selection)
    rows = {value.shape[0] for value in feeds.values() if value.ndim} | {1}
    if takes_weights(session, score_weights, class_index):
        chosen = np.asarray(score_weights)
        check_weights(session, chosen, rows)
        feeds[spec.selector] = chosen.astype(np.float32)
    else:
        chosen = np.asarray([[-1]] if class_index is None else class_index)
        which = feeds.pop(spec.output_index or "", selection.output_index)
        which = check_outputs(spec, which, chosen, rows)
        if which is not None:
            feeds[spec.output_index or ""] = which
        feeds[spec.selector] = chosen.astype(np.int64)
    region = selection.region
    if spec.region is not None:
        region = feeds.pop(spec.region, region)
    if region is not None:
        name, weights = region_input(session), np.asarray(region)
        check_region(weights, rows, chosen.shape[1], positions_of(session))
        feeds[name] = weights.astype(np.float32)
    if boxes:
        _check_boxes(session, feeds, boxes, rows)
        feeds.update({name: value.astype(np.int64) for name, value in boxes.items()})
    return feeds


def _boxes_out_of(feeds: Tensors, session: Session, selection: Selection) -> Tensors:
    """Take the inputs that select boxes out of ``feeds``, or from the selection."""
    detector, found = session.spec.detector, Tensors()
    given = (selection.box_index, selection.box_target)
    if detector is None:
        if any(value is not None for value in given):
            raise InputError(
                f"{session.path.name} is no detector and takes no box_index and no box_target"
            )
        return found
    for name, value in zip(detector.own_inputs, given, strict=True):
        if name in feeds:
            found[name] = feeds.pop(name)
        elif value is not None:
            found[name] = np.asarray(value)
    return found


def _check_boxes(session: Session, feeds: Tensors, boxes: Tensors, rows: Collection[int]) -> None:
    detector = session.spec.detector
    assert detector is not None
    columns = {feeds[session.spec.selector].shape[1], *(v.shape[-1] for v in boxes.values())}
    for name, value in boxes.items():
        whole = np.issubdtype(value.dtype, np.integer) or value.size == 0
        if not whole or value.ndim != 2 or len(value) not in rows or len(columns - {1}) > 1:
            raise InputError(
                f"{name} is {value.dtype} {list(value.shape)}; pass integers [N or 1, K or 1], "
                "with a row per image or one for all, and K as in class_index"
            )
    target, index = boxes.get(detector.box_target), boxes.get(detector.box_index)
    if target is not None and target.size and not (0 <= target.min() <= target.max() < 5):
        wrong = int(target.min()) if target.min() < 0 else int(target.max())
        raise InputError(
            f"{detector.box_target} {wrong} is out of range; give "
            + ", ".join(f"{number} ({name})" for number, name in enumerate(TARGETS))
        )
    if index is not None and index.size:
        count = _box_count(session, feeds)
        wrong = index[(index < -count) | (index >= count)]
        if wrong.size:
            raise InputError(
                f"{detector.box_index} {int(wrong[0])} is out of range; the model gives {count} "
                f"boxes: 0 to {count - 1}, or -1 to -{count} by rank"
            )


def _box_count(session: Session, feeds: Tensors) -> int:
    """Return the number of boxes; with open sizes a run with K = 0 shows it."""
    spec, detector = session.spec, session.spec.detector
    assert detector is not None
    assert spec.class_index is not None
    entries = detector.score_entries
    shapes: Mapping[str, Sequence[int | None]] = session.outputs
    if any(shapes[one.output][one.box_axis] is None for one in entries):
        nothing = {**feeds, spec.class_index: np.zeros((1, 0), np.int64)}
        got = session.run(nothing, dict.fromkeys(one.output for one in entries))
        shapes = {name: value.shape for name, value in got.items()}
    return sum(shapes[one.output][one.box_axis] or 0 for one in entries)
