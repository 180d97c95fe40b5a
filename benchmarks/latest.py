"""`latest_records` joins a stored table with the records of runs that are not in it yet."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path
from typing import Any


def latest_records(results: Path, stored: Path) -> dict[str, dict[str, Any]]:
    """Return the latest record of each subject, by key; a line that was cut off is skipped.

    Args:
        results: The runs' records, one a line.
        stored: The table's own, a list.
    """
    records: list[dict[str, Any]] = json.loads(stored.read_text("utf-8")) if stored.exists() else []
    for line in results.read_text("utf-8").splitlines() if results.exists() else []:
        with suppress(ValueError):
            records.append(json.loads(line))
    return {record["key"]: record for record in records}
