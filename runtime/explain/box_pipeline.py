"""`explain_boxes` does the steps from images to explained boxes, in order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..boxes.detections import Detection, Detections
from ..boxes.geometry import share_inside
from ..errors import InputError
from ..inputs.examples import Example
from ..methods.table import METHODS
from ..output.box_explanation import BoxExplanation
from ..output.explanation import Explanation
from ..output.render import map_status
from ..session.session import Tensors
from ..spec.detector import TARGETS
from .batches import MAX_BATCH, parts_of
from .box_maps import RowMaps, Wanted, box_maps
from .box_request import BoxRequest
from .detect import Ranges, detect, input_size, with_level
from .plan import Plan
from .view_of_example import view_of_example


def explain_boxes(
    plan: Plan, request: BoxRequest, examples: Sequence[Example]
) -> list[list[Explanation]]:
    """Detect the boxes of each example, and explain them by each method of a plan.

    Args:
        plan: The request; its artifact is that of a detector.
        request: Which boxes.
        examples: Images; they run together, as many as the batch axis takes.

    Returns:
        A list of methods for each example; each is a `BoxExplanation`.

    Raises:
        ImageError: An image cannot be used.
        InputError: A box does not exist, or the artifact lacks what a method needs.
        SessionError: ONNX Runtime failed.
    """
    most = plan.session.inputs[plan.reader.main].shape[0] or MAX_BATCH
    found: list[list[Explanation]] = []
    for part in parts_of(examples, most):
        own = examples[part]
        detected, feeds, ranges = detect(plan.session, plan.reader.main, own, request)
        wanted = [_wanted(request, one, example.name)
                  for one, example in zip(detected, own, strict=True)]  # fmt: skip
        by_method = box_maps(plan, feeds, wanted)
        for row, example in enumerate(own):
            rows = [maps[row] for maps in by_method]
            found.append(_explanations(plan, example, detected[row], wanted[row], rows, feeds,
                                       ranges))  # fmt: skip
    return found


def detect_examples(plan: Plan, examples: Sequence[Example], limit: int) -> list[Detections]:
    """Detect the boxes of each example, at most ``limit``; see `explain_boxes`."""
    assert plan.boxes is not None
    most = plan.session.inputs[plan.reader.main].shape[0] or MAX_BATCH
    return [
        one
        for part in parts_of(examples, most)
        for one in detect(plan.session, plan.reader.main, examples[part], plan.boxes, limit)[0]
    ]


def _wanted(request: BoxRequest, detections: Detections, name: str) -> list[Wanted]:
    """Return the boxes of one image that are explained, each with its targets."""
    if request.only_detects:
        return []
    chosen: Sequence[Detection] = detections.found
    if not detections.requested:
        chosen = chosen[: request.limit]
    if request.boxes is not None:
        by_number = {one.number: one for one in detections}
        chosen = [
            one if isinstance(one, Detection) else _numbered(by_number, one, name)
            for one in request.boxes
        ]
    return [(one, target) for one in chosen for target in request.targets]


def _numbered(boxes: dict[int, Detection], number: int, name: str) -> Detection:
    if number not in boxes:
        count = len(boxes)
        there = f"{count} boxes: 1 to {count}" if count > 1 else f"{count or 'no'} box"
        raise InputError(
            f"box {number} is out of range; {name} has {there}; a smaller conf finds more"
        )
    return boxes[number]


def _explanations(
    plan: Plan,
    example: Example,
    detections: Detections,
    wanted: Sequence[Wanted],
    rows: Sequence[RowMaps],
    feeds: Tensors,
    ranges: Ranges,
) -> list[Explanation]:
    """Make one image's explanation of each method."""
    main, detector = plan.reader.main, plan.session.spec.detector
    assert detector is not None
    size = input_size(plan.session, main, example, feeds)
    cells = rows[0].maps.shape[1:]
    view = view_of_example(plan, example, main, cells)
    labels = [one.label if not target else f"{one.label} {TARGETS[target]}"
              for one, target in wanted]  # fmt: skip
    layer = "sum of " + ", ".join(layer.name for layer in plan.layers)
    found: list[Explanation] = []
    for (method, options), row in zip(plan.methods.items(), rows, strict=True):
        signed = METHODS[method].is_signed(options)
        explained = [one for one, _ in wanted]
        if row.anchors is not None:
            pairs = zip(explained, row.anchors.tolist(), strict=True)
            explained = [with_level(replace(one, anchor=anchor), detector, ranges)
                         for one, anchor in pairs]  # fmt: skip
        found.append(
            BoxExplanation(
                view=view,
                name=example.name,
                output=row.output,
                probabilities=None,
                classes=[one.class_id for one in explained],
                labels=labels,
                scores=row.scores,
                maps=row.maps,
                status=[map_status(raw, signed) for raw in row.maps],
                layer=layer if len(plan.layers) > 1 else plan.layers[0].name,
                method=method,
                input=main,
                measures=row.measures,
                signed=signed,
                sources=(*plan.files, *example.files),
                detections=detections,
                explained=explained,
                whys=[TARGETS[target] for _, target in wanted],
                shares=[share_inside(np.asarray(raw), one.input_box, size)
                        for raw, one in zip(row.maps, explained, strict=True)],
            )
        )  # fmt: skip
    return found
