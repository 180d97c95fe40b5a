"""`BoxMaps` makes the maps of boxes: a few boxes a run, the levels' maps summed."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..boxes.detections import Detection
from ..methods.dispatch import run_method
from ..methods.method_io import MethodInput, MethodOutput
from ..methods.table import METHODS
from ..session.session import Tensors
from ..spec.detector import Detector
from .fuse_layers import sum_levels
from .plan import Plan

MOST_AT_ONCE = 4
"""Boxes of an image that are explained in one run: each has gradients of every level."""

Wanted = tuple[Detection, int]
"""A box, and the number of its target."""


@dataclass(frozen=True, eq=False)
class RowMaps:
    """The maps of one image.

    Attributes:
        maps: Raw maps, float32 [K, h, w].
        scores: What was differentiated, float32 [K].
        output: The model's own scored output.
        anchors: The boxes behind slots, int64 [K]; None: boxes are no slots.
        measures: Numbers that the method measured, by name: [K].
    """

    maps: NDArray[np.float32]
    scores: NDArray[np.float32]
    output: NDArray[Any]
    anchors: NDArray[np.int64] | None
    measures: dict[str, NDArray[Any]]


def box_maps(plan: Plan, feeds: Tensors, wanted: Sequence[Sequence[Wanted]]) -> list[list[RowMaps]]:
    """Explain boxes of each image of a batch: a list of images for each method.

    Args:
        plan: The request.
        feeds: The artifact's inputs, without the selection.
        wanted: What to explain of each image.
    """
    most = max(map(len, wanted), default=0)
    parts = [slice(start, start + MOST_AT_ONCE) for start in range(0, most, MOST_AT_ONCE)]
    rows = len(feeds[plan.reader.main])
    runs = [_run(plan, {**feeds, **_selection(plan, [one[part] for one in wanted], rows)})
            for part in parts]  # fmt: skip
    found: list[list[RowMaps]] = []
    for number in range(len(plan.methods)):
        images: list[RowMaps] = []
        for row, own in enumerate(wanted):
            pieces = [
                _cut(*run[number], row, len(own[part]))
                for run, part in zip(runs, parts, strict=True)
                if own[part]
            ]
            images.append(_joined(pieces))
        found.append(images)
    return found


def _selection(plan: Plan, wanted: Sequence[Sequence[Wanted]], rows: int) -> Tensors:
    """Return the selecting inputs, int64 [N, K]; shorter rows repeat their last box.

    An image without boxes, and copies that fill up a fixed batch, repeat another image's.
    """
    spec, detector = plan.session.spec, plan.session.spec.detector
    assert detector is not None
    assert spec.class_index is not None
    count = max(map(len, wanted))
    other = next(own for own in wanted if own)
    filled = [[*(own or other), *[(own or other)[-1]] * count][:count] for own in wanted]
    filled += filled[-1:] * (rows - len(filled))

    def column(read: Callable[[Wanted], int]) -> NDArray[np.int64]:
        return np.array([[read(pair) for pair in row] for row in filled], np.int64)

    return {
        spec.class_index: column(lambda pair: pair[0].class_id),
        detector.box_index: column(lambda pair: pair[0].index),
        detector.box_target: column(lambda pair: pair[1]),
    }


def _run(plan: Plan, feeds: Tensors) -> list[tuple[MethodOutput, NDArray[np.int64] | None]]:
    """Run each method once: its output, and the anchors of slots."""
    detector, session = plan.session.spec.detector, plan.session
    assert detector is not None
    batch = MethodInput(session, feeds, plan.reader.main, plan.layers[0], plan.progress, plan.heads)
    names = [] if detector.anchors is None else [detector.anchors]
    got = batch.fetch([*batch.common_outputs, *names, *_fetched(plan, detector)])
    anchors = None if detector.anchors is None else got[detector.anchors]
    return [(_of_method(plan, batch, method, options), anchors)
            for method, options in plan.methods.items()]  # fmt: skip


def _fetched(plan: Plan, detector: Detector) -> list[str]:
    """Names of the outputs that all methods read, so that one run serves them."""
    names = list(plan.formula_outputs())
    if not any(_is_whole(plan, method, options) for method, options in plan.methods.items()):
        return names
    # The sum of the levels stands for their own maps.
    baked = {layer.heatmap for layer in plan.layers}
    return [*(name for name in names if name not in baked), detector.heatmap]


def _is_whole(plan: Plan, method: str, options: Mapping[str, Any]) -> bool:
    """Whether the artifact's own map of all levels is what a method gives."""
    every = plan.session.spec.layers
    return (
        not options
        and [layer.name for layer in plan.layers] == [layer.name for layer in every]
        and all(layer.baked.get(method) == layer.heatmap for layer in every)
    )


def _of_method(
    plan: Plan, batch: MethodInput, method: str, options: Mapping[str, Any]
) -> MethodOutput:
    detector = plan.session.spec.detector
    assert detector is not None
    if _is_whole(plan, method, options):
        got = batch.fetch([*batch.common_outputs, detector.heatmap])
        return batch.output(got, got[detector.heatmap])
    of_layer = set(METHODS[method].needs) & {"activations", "gradients", "heatmap", "head"}
    layers = plan.layers if of_layer else plan.layers[:1]
    found = [run_method(batch.at_layer(layer), method, options) for layer in layers]
    summed = sum_levels([one.maps for one in found])
    first = found[0]
    return MethodOutput(summed, first.model_output, first.classes, first.scores, first.measures)


def _cut(output: MethodOutput, anchors: NDArray[np.int64] | None, row: int, count: int) -> RowMaps:
    return RowMaps(
        output.maps[row, :count], output.scores[row, :count], output.model_output[row],
        None if anchors is None else anchors[row, :count],
        {name: values[row, :count] for name, values in output.measures.items()},
    )  # fmt: skip


def _joined(pieces: Sequence[RowMaps]) -> RowMaps:
    """Join the runs of one image along K."""
    if not pieces:
        none = np.zeros(0, np.float32)
        return RowMaps(np.zeros((0, 1, 1), np.float32), none, none, None, {})
    first = pieces[0]
    slots = None if first.anchors is None else np.concatenate(
        [one.anchors for one in pieces if one.anchors is not None]
    )  # fmt: skip
    return RowMaps(
        np.concatenate([one.maps for one in pieces]),
        np.concatenate([one.scores for one in pieces]),
        first.output, slots,
        {name: np.concatenate([one.measures[name] for one in pieces]) for name in first.measures},
    )  # fmt: skip
