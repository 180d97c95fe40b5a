"""`describe_boxes` describes a detector's explanation as text for a terminal."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from ..boxes.detections import Detection
from ..plain_text import plain, plain_lines
from ..spec.detector import TARGETS
from .box_explanation import BoxExplanation
from .explanation_data import STATES


def describe_boxes(path: Path, data: BoxExplanation, saved: Sequence[Path]) -> str:
    """Describe an image's boxes, a line for each: number, name, score, corners, level, map.

    Args:
        path: The image.
        data: Its explanation.
        saved: The files that were written.
    """
    detections, rows = data.detections, _by_box(data)
    if not detections:
        return plain(f"{path}: {_none(data)}")
    count = len(detections)
    heading = f"{path}: {count} box{'es' * (count != 1)}"
    if detections.near_miss:
        heading = f"{path}: no box above {detections.conf:g}; the best one below it"
    lines = [heading if data.method == "hirescam" else f"{heading}  {data.method}"]
    lines += [_line(data, positions) for positions in rows]
    rest = 0 if detections.requested else count - len(rows)
    if rest > 0:
        lines.append(f"{rest} more box{'es' * (rest != 1)}, not explained")
    return plain_lines([*lines, *(f"  -> {file}" for file in saved)])


def corners_text(box: Detection) -> str:
    """Return a box's corners in whole pixels: ``(212,44)-(273,105)``."""
    left, top, right, bottom = (round(side) for side in box.box)
    return f"({left},{top})-({right},{bottom})"


def _by_box(data: BoxExplanation) -> list[list[int]]:
    """Return the positions of each explained box's maps."""
    found: dict[tuple[int, int], list[int]] = {}
    for position, box in enumerate(data.explained):
        found.setdefault((box.number, box.index), []).append(position)
    return list(found.values())


def _line(data: BoxExplanation, positions: Sequence[int]) -> str:
    box = data.explained[positions[0]]
    level = "" if box.level is None else f" level {box.level}"
    start = f"{box.number} {box.name} {box.probability} {corners_text(box)}{level}"
    if [data.whys[position] for position in positions] == [TARGETS[0]]:
        share, state = data.shares[positions[0]], STATES[data.status[positions[0]]]
        told = "" if share is None else f"; {100 * share:.0f} % of its map lies in the box"
        return f"{start}{told}{state}"
    shares = [
        f"{data.whys[position]} "
        + ("empty" if (share := data.shares[position]) is None else f"{100 * share:.0f} %")
        for position in positions
    ]
    return f"{start}; of its maps lies in the box: {', '.join(shares)}"


def _none(data: BoxExplanation) -> str:
    conf, best = data.detections.conf, data.detections.best
    if best is None:
        return f"no box above {conf:g}, and no candidate"
    return (
        f"no box above {conf:g}; the best is {best.name} {best.probability}: --near-miss explains "
        f"it, --conf {_rounded_down(best.score)} shows it"
    )


def _rounded_down(score: float) -> str:
    """Return a number of one digit that is not larger than a score."""
    digits = -math.floor(math.log10(score))
    return f"{math.floor(score * 10**digits) / 10**digits:.{max(digits, 1)}f}"
