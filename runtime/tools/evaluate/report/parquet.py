"""`write_scores` converts the table of scores to Parquet, a row a map."""

from __future__ import annotations

import json
from importlib import import_module
from pathlib import Path
from typing import Any

from ....errors import JobError
from ....writing import atomic_write
from ...jobs.parquet import need_pyarrow
from ..measure import MEASURES

_ROWS = 1000  # photographs in memory at a time


def write_scores(table: Path) -> Path:
    """Write ``results.parquet`` beside ``results.jsonl``, complete or not at all.

    A row is a map: path, class, label, confidence, method, layer, status, and a column a measure,
    null where it was not computed.

    Raises:
        JobError: pyarrow is missing, or the file cannot be written.
    """
    arrow = need_pyarrow()
    parquet: Any = import_module("pyarrow.parquet")
    text, number = arrow.string(), arrow.float64()
    schema = arrow.schema({
        "path": text, "class": arrow.int64(), "label": text, "confidence": number,
        "method": text, "layer": text, "status": text, **dict.fromkeys(MEASURES, number),
    })  # fmt: skip
    path = table.with_suffix(".parquet")
    with (
        atomic_write(path, JobError) as draft,
        parquet.ParquetWriter(draft, schema) as writer,
        table.open("rb") as lines,
    ):
        rows: list[dict[str, Any]] = []
        for place, line in enumerate(lines, 1):
            rows += _flat(json.loads(line))
            if place % _ROWS == 0:
                writer.write_table(arrow.Table.from_pylist(rows, schema=schema))
                rows = []
        writer.write_table(arrow.Table.from_pylist(rows, schema=schema))
    return path


def _flat(row: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "path": row["path"], "class": item["class"], "label": item["label"],
            "confidence": item["confidence"], "method": one["method"], "layer": one["layer"],
            "status": one["status"], **one["scores"],
        }
        for item in row["items"]
        for one in item["maps"]
    ]  # fmt: skip
