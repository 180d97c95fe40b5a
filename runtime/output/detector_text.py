"""`describe_detector` describes what an artifact's metadata says of boxes, for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from ..spec.detector import TARGETS, BoxEntries, Detector, Level

_FORMATS = {
    "dense": "a row or column for each anchor",
    "end_to_end": "slots, selected inside the model",
    "queries": "queries, as DETR's",
    "levels": "outputs for each level",
    "centres": "a heat map of centres",
    "nms": "dense boxes before a NonMaxSuppression in the model",
}
_TASKS = {"segment": "masks", "pose": "key points", "obb": "the angle"}
_LAYOUTS = {"xyxy": "left, top, right, bottom", "cxcywh": "centre, width, height"}
_UNITS = {"pixels": "pixels of the input", "unit": "shares of the input"}


def describe_detector(found: Detector) -> list[str]:
    """Describe the format, the inputs and outputs for boxes, the levels, and the evidence.

    Args:
        found: The metadata's record.

    Returns:
        Lines for `describe_spec`.
    """
    targets = ", ".join(f"{number} {name}" for number, name in enumerate(TARGETS))
    boxes = f"{_LAYOUTS[found.box_layout]}, in {_UNITS[found.box_units]}"
    lines = [
        f"boxes   {found.format}: {_FORMATS[found.format]}",
        f"        boxes in {_places(found.box_entries)}: {boxes}",
        f"        scores in {_places(found.score_entries)}: {_meaning(found)}",
    ]
    for name, entries in (("classes", found.class_entries),
                          ("objectness", found.objectness_entries)):  # fmt: skip
        if entries:
            lines.append(f"        {name} in {_places(entries)}")
    lines.append(
        "        overlapping boxes are suppressed already" if found.final
        else "        overlapping boxes remain: the runtime suppresses them"
    )  # fmt: skip
    if found.task in _TASKS:
        lines.append(f"        {_TASKS[found.task]}: predicted, neither explained nor drawn")
    lines += [
        f"input   {found.box_index}: int64 [N or 1, K], boxes by number or rank (-1 is the best)",
        f"input   {found.box_target}: int64 [N or 1, K]: {targets}",
        f"output  {found.boxes}: float32 [N, K, 4], left, top, right, bottom in input pixels",
        f"output  {found.heatmap}: float32 [N, K, h, w], all levels' maps, summed",
    ]
    if found.anchors:
        lines.append(f"output  {found.anchors}: int64 [N, K], the anchor behind each slot")
    lines += [f"level   {number} {_level(one)}" for number, one in enumerate(found.levels, 1)]
    return [*lines, f"because {'; '.join(found.evidence)}"]


def _places(levels: Sequence[BoxEntries]) -> str:
    """The outputs and entries of all levels; the entries alone where they are the same."""
    entries = {(one.box_axis, one.first, one.count) for one in levels}
    names = ", ".join(dict.fromkeys(one.output for one in levels))
    if len(entries) > 1:
        return ", ".join(f"{one.output}{_cut(one)}" for one in levels)
    return f"{names}{_cut(levels[0])}" if levels else "no output"


def _cut(one: BoxEntries) -> str:
    """The entries as a slice of an array [N, boxes, entries] or [N, entries, boxes]."""
    entries = f"{one.first}:{one.first + one.count}"
    return f"[:, :, {entries}]" if one.box_axis == 1 else f"[:, {entries}, :]"


def _meaning(found: Detector) -> str:
    kind = "probabilities" if found.activated else "logits"
    return f"{kind}, the last means no object" if found.no_object else kind


def _level(one: Level) -> str:
    parts = [one.layer]
    if one.first is not None and one.count is not None:
        parts.append(f"boxes {one.first} to {one.first + one.count - 1}")
    if one.stride:
        parts.append(f"stride {' x '.join(f'{pixels:g}' for pixels in one.stride)}")
    return ", ".join(parts)
