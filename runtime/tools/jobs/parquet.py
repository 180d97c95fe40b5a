"""`write_parquet` converts the table to Parquet, if pyarrow is installed."""

from __future__ import annotations

import importlib
import json
from pathlib import Path
from typing import Any

from ...errors import JobError
from ...inorder import batched
from ...writing import atomic_write

_ROWS = 1000  # in memory at a time


def need_pyarrow() -> Any:
    """Import pyarrow.

    Raises:
        JobError: It is not installed.
    """
    try:
        return importlib.import_module("pyarrow")
    except ImportError as error:
        raise JobError(
            "pyarrow is missing and needed for Parquet; install it with `pip install pyarrow`, or "
            "read results.jsonl"
        ) from error


def write_parquet(table: Path) -> Path:
    """Write ``results.parquet`` beside ``results.jsonl``, complete or not at all.

    Raises:
        JobError: pyarrow is missing, or the file cannot be written.
    """
    arrow = need_pyarrow()
    parquet = importlib.import_module("pyarrow.parquet")
    schema, path = _schema(arrow, boxes=_has_boxes(table)), table.with_suffix(".parquet")
    with (
        atomic_write(path, JobError) as draft,
        parquet.ParquetWriter(draft, schema) as writer,
        table.open("rb") as lines,
    ):
        for part in batched(lines, _ROWS):
            rows = [json.loads(line) for line in part]
            writer.write_table(arrow.Table.from_pylist(rows, schema=schema))
    return path


def _has_boxes(table: Path) -> bool:
    """Whether the rows are a detector's: then all of them have boxes."""
    with table.open("rb") as lines:
        return "boxes" in json.loads(next(lines, b"{}"))


def _schema(arrow: Any, *, boxes: bool) -> Any:
    """Return the fields of `Row` with their types, also for columns without values."""
    text, number, whole = arrow.string(), arrow.float64(), arrow.int64()
    of_class = {
        "id": whole, "label": text, "score": number, "probability": number, "status": text,
        "map_maximum": number,
    }  # fmt: skip
    of_box = {
        "number": whole, "box": arrow.list_(number), "score": number, "class_id": whole,
        "label": text, "box_index": whole, "level": whole, "layer": text, "anchor": whole,
        "status": text, "share": number,
    }  # fmt: skip
    if boxes:
        of_class |= {"number": whole, "why": text, "share": number}
    fields = {
        "path": text, "status": text, "error": text, "width": whole, "height": whole,
        "layer": text, "method": text, "classes": arrow.list_(arrow.struct(of_class)),
        "files": arrow.list_(text),
    }  # fmt: skip
    return arrow.schema(fields | ({"boxes": arrow.list_(arrow.struct(of_box))} if boxes else {}))
