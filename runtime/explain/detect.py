"""`detect` runs a detector with K = 0 and reads the boxes of each image."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import numpy as np

from ..boxes.decode import Candidates, decode, entry_outputs
from ..boxes.defaults import MOST_DETECTED
from ..boxes.detections import Detection, Detections
from ..boxes.geometry import to_image
from ..boxes.suppress import suppress
from ..errors import InputError
from ..inputs.batch import make_batch
from ..inputs.examples import Example
from ..inputs.preprocess import Placement
from ..inputs.values import Photo
from ..session.session import Session, Tensors
from ..spec import Spec
from ..spec.detector import Detector
from .box_request import BoxRequest

Ranges = list[range]
"""The boxes of each level."""


def detect(
    session: Session,
    main: str,
    examples: Sequence[Example],
    request: BoxRequest,
    limit: int = MOST_DETECTED,
) -> tuple[list[Detections], Tensors, Ranges]:
    """Detect boxes in the examples of one run.

    Args:
        session: The artifact of a detector.
        main: The input with the image.
        examples: Examples of one `Example.kind`.
        request: Thresholds and classes.
        limit: The largest number of boxes of an image.

    Returns:
        The boxes of each image, the artifact's inputs (with K = 0), and the boxes of each level,
        empty if boxes belong to no level.

    Raises:
        InputError: A box that the request names does not exist.
        SessionError: ONNX Runtime failed.
    """
    spec, detector = session.spec, session.spec.detector
    assert detector is not None
    feeds, _ = make_batch(
        session, main, examples, np.zeros((1, 0), np.int64), [None] * len(examples)
    )
    grids = [layer.heatmap for layer in spec.layers]  # of no maps: only their shapes are read
    got = session.run(feeds, list(dict.fromkeys([*entry_outputs(detector), *grids])))
    sizes = [input_size(session, main, example, feeds) for example in examples]
    boxes = decode(detector, got, sizes[0], spec.score.activation)
    cells = [int(np.prod(got[name].shape[2:])) for name in grids]
    ranges = ranges_of(detector, cells, boxes.corners.shape[1])
    found = [
        _of_image(spec, boxes, row, request, ranges, limit, _Frame(example.name, about, size))
        for row, (example, about, size) in enumerate(
            zip(examples, (one.values[main] for one in examples), sizes, strict=True)
        )
    ]
    return found, feeds, ranges


def input_size(session: Session, main: str, example: Example, feeds: Tensors) -> tuple[int, int]:
    """Return height and width of the model's input, in whose pixels it gives boxes."""
    about = example.values[main]
    if isinstance(about, Photo):
        return about.placement.size
    shape, transform = feeds[main].shape, session.spec.preprocess
    last = transform is not None and transform.layout == "nhwc"
    height, width = shape[1:3] if last else shape[-2:]
    return height, width


def ranges_of(detector: Detector, cells: Sequence[int], boxes: int) -> Ranges:
    """Return the boxes of each level; empty if they belong to none.

    Args:
        detector: The record; with open sizes it knows no numbers.
        cells: Number of places of each level's layer in this run.
        boxes: Number of all boxes in this run.
    """
    levels = detector.levels
    if all(level.first is not None and level.count is not None for level in levels):
        return [range(level.first or 0, (level.first or 0) + (level.count or 0))
                for level in levels]  # fmt: skip
    total = sum(cells)
    if detector.format not in ("dense", "levels", "nms") or not total or boxes % total:
        return []
    each = boxes // total
    ends = np.cumsum([0, *cells]) * each
    return [range(int(a), int(b)) for a, b in pairwise(ends)]


def with_level(detection: Detection, detector: Detector, ranges: Ranges) -> Detection:
    """Add the level whose boxes contain a detection's anchor, or its index if it is no slot."""
    index = detection.anchor if detector.has_slots else detection.index
    for number, (level, part) in enumerate(zip(detector.levels, ranges, strict=False), start=1):
        if index in part:
            return replace(detection, level=number, layer=level.layer)
    return detection


class _Frame:
    """Where boxes of one image lie: its name for messages, its placement and the input's size."""

    def __init__(self, name: str, about: object, size: tuple[int, int]) -> None:
        self.name = name
        whole = Placement(size, size, (0, 0), size)
        self.placement = about.placement if isinstance(about, Photo) else whole


def _of_image(
    spec: Spec,
    boxes: Candidates,
    row: int,
    request: BoxRequest,
    ranges: Ranges,
    limit: int,
    frame: _Frame,
) -> Detections:
    """Choose the detections of one image."""
    scores, classes = boxes.best(row, request.classes)
    corners, detector = boxes.corners[row], spec.detector
    assert detector is not None
    in_image = to_image(np.where(np.isfinite(corners), corners, 0), frame.placement)

    def detection(number: int, index: int) -> Detection:
        class_id = int(classes[index])
        known = spec.labels is not None and 0 <= class_id < len(spec.labels)
        found = Detection(
            number, _four(in_image[index]), float(scores[index]), class_id,
            spec.labels[class_id] if known and spec.labels else str(class_id), index,
            input_box=_four(corners[index]),
        )  # fmt: skip
        return with_level(found, detector, ranges)

    best = int(scores.argmax()) if len(scores) else None
    if request.indices is not None:
        chosen = [_resolve(index, scores, frame.name) for index in request.indices]
    else:
        chosen = [
            int(index)
            for index in suppress(
                corners, scores, classes, request.conf, request.iou, limit, final=detector.final
            )
        ]
    candidate = None if best is None or scores[best] <= 0 else detection(1, best)
    missed = request.near_miss and not chosen and candidate is not None
    if missed and best is not None:
        chosen = [best]
    found = tuple(detection(number, index) for number, index in enumerate(chosen, start=1))
    return Detections(found, candidate, request.conf, missed, request.indices is not None)


def _four(numbers: np.ndarray) -> tuple[float, float, float, float]:
    left, top, right, bottom = (float(one) for one in numbers)
    return left, top, right, bottom


def _resolve(index: int, scores: np.ndarray, name: str) -> int:
    """Return the number of a box that is given by number or rank."""
    count = len(scores)
    if not -count <= index < count:
        raise InputError(
            f"box_index {index} is out of range; the model gives {count} boxes for {name}: 0 to "
            f"{count - 1}, or -1 to -{count} by rank"
        )
    return index if index >= 0 else int(np.argsort(-scores, kind="stable")[-index - 1])
