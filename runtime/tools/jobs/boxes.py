"""These functions make a detector's part of a job's row: its boxes, and the picture of them."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Unpack

from ...detector import TARGETS
from ...output.box_explanation import BoxExplanation
from ...output.render import LookOptions, write_image

_IMAGES = (".png", ".jpg", ".jpeg")


def box_records(found: BoxExplanation) -> list[dict[str, Any]]:
    """Return a record for each detection, the best first.

    It is that of `Detection.to_dict` (number, corners, score, class, level and so on), with
    ``status``, that of the map of its class, and ``share``, the share of this map that lies in the
    box. Both are None for a box whose class was not explained.
    """
    summary = found.to_dict()
    maps = {one["number"]: one for one in summary["classes"] if one["why"] == TARGETS[0]}
    records: list[dict[str, Any]] = []
    for box in summary["boxes"]:
        own = maps.get(box["number"], {})
        records.append({**box, "status": own.get("status"), "share": own.get("share")})
    return records


def write_boxes(
    found: BoxExplanation, folder: Path, suffix: str = ".png", **look: Unpack[LookOptions]
) -> list[Path]:
    """Write a picture of all boxes and their maps, or another file; nothing without boxes.

    Args:
        found: The explanation.
        folder: Where ``<image>-boxes.png`` goes.
        suffix: Suffix of the file; see `Explanation.save` for those of no image.
        look: As for `Explanation.draw`.

    Raises:
        RenderError: The file cannot be written, or its suffix is unknown.
    """
    if not found.detections:
        return []
    if suffix in _IMAGES:
        path = folder / f"{found.name}-boxes{suffix}"
        return [write_image(path, found.panel(**look))]
    return found.save(folder, suffix=suffix, **look)
