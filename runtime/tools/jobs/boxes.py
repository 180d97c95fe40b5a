"""`box_records` makes a detector's part of a job's row."""

from __future__ import annotations

from typing import Any

from ...output.box_explanation import BoxExplanation
from ...spec.detector import TARGETS


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
