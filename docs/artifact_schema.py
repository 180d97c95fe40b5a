"""``python -m docs.artifact_schema`` writes ``docs/artifact.schema.json`` from the dataclasses.

The types and bounds are those of the annotations that the runtime enforces, and the descriptions
those of the docstrings. A test compares the file with them.
"""

from __future__ import annotations

import inspect
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, Literal

from graftcam.runtime.checks import is_union, parts, types_of
from graftcam.runtime.spec import NEWEST_VERSION, Spec

PATH = Path(__file__).with_name("artifact.schema.json")
_TYPES: Mapping[Any, str] = {
    bool: "boolean", int: "integer", float: "number", str: "string", NoneType: "null",
}  # fmt: skip


def artifact_schema() -> dict[str, Any]:
    """Return the JSON schema (draft 2020-12) of the metadata."""
    records: dict[str, Any] = {}
    whole = _of(Spec, records)
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": f"graftcam metadata, specifications 1 to {NEWEST_VERSION}",
        "description": 'What `metadata_props["graftcam"]` of an artifact holds. A reader also '
        "refuses what no schema says: fields that contradict each other, or the graph.",
        **whole,
        "$defs": dict(sorted(records.items())),
    }


def _of(kind: Any, records: dict[str, Any]) -> dict[str, Any]:
    """Return the schema of an annotation, and add those of its dataclasses to ``records``."""
    origin, arguments = parts(kind)
    if origin is Annotated:
        found = _of(arguments[0], records)
        for bound in arguments[1:]:
            found |= bound.schema()
        return found
    if is_union(origin):
        return {"anyOf": [_of(one, records) for one in arguments]}
    if origin is Literal:
        return {"enum": list(arguments)}
    if origin in (list, Sequence):
        return {"type": "array", "items": _of(arguments[0], records)}
    if origin is dict:
        names, values = (_of(one, records) for one in arguments)
        return {"type": "object", "propertyNames": names, "additionalProperties": values}
    if is_dataclass(origin):
        if kind.__name__ not in records:
            records[kind.__name__] = {}  # holds the place, should it contain itself
            records[kind.__name__] = _of_record(kind, records)
        return {"$ref": f"#/$defs/{kind.__name__}"}
    return {"type": _TYPES[origin]}


def _of_record(kind: Any, records: dict[str, Any]) -> dict[str, Any]:
    summary, about = _described(kind)
    kinds = types_of(kind)
    return {
        "description": summary,
        "type": "object",
        # As `records.parse_record` does: what is None by default may be left out.
        "required": [entry.name for entry in fields(kind) if entry.default is not None],
        "additionalProperties": False,
        "properties": {
            entry.name: {"description": about[entry.name], **_of(kinds[entry.name], records)}
            for entry in fields(kind)
        },
    }


def _described(kind: Any) -> tuple[str, dict[str, str]]:
    """Return a dataclass's summary, and the text about each of its attributes."""
    text = inspect.getdoc(kind) or ""
    summary, _, rest = text.partition("Attributes:\n")
    listed = re.split(r"\n\n(?! )", rest)[0]
    entries = re.findall(r"^    (\w+): (.*(?:\n     .*)*)", listed, re.MULTILINE)
    about = {name: re.sub(r"\s+", " ", words).replace("``", "`") for name, words in entries}
    return summary.split("\n\n")[0].replace("\n", " ").replace("``", "`"), about


def main() -> None:
    """Write the file."""
    text = json.dumps(artifact_schema(), indent=1, ensure_ascii=False)
    PATH.write_text(f"{text}\n", encoding="utf-8")


if __name__ == "__main__":
    main()
