"""The schema of the metadata is generated, and says what the runtime enforces."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import jsonschema
import onnx
import pytest

from docs.artifact_schema import PATH, artifact_schema
from graftcam.runtime.spec import METADATA_KEY, Spec
from support.paths import DATA, ROOT
from support.record_faults import DETECTOR_FAULTS, FAULTS, Fault, changed, record

SCHEMA = artifact_schema()
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)
CASES = [
    *((fault, False) for fault in FAULTS.values()),
    *((fault, True) for fault in DETECTOR_FAULTS.values()),
]


def test_the_schema_is_that_of_the_code() -> None:
    VALIDATOR.check_schema(SCHEMA)
    assert json.loads(PATH.read_text("utf-8")) == SCHEMA, "run `python -m docs.artifact_schema`"


def test_every_field_is_described() -> None:
    for name, one in SCHEMA["$defs"].items():
        for field, entry in one["properties"].items():
            assert re.search(r"\w{3}", entry["description"]), (name, field)


@pytest.mark.parametrize("path", sorted((DATA / "spec1").glob("*.onnx")), ids=lambda one: one.name)
def test_the_schema_accepts_what_older_versions_wrote(path: Path) -> None:
    entries = {one.key: one.value for one in onnx.load(path).metadata_props}
    VALIDATOR.validate(json.loads(entries[METADATA_KEY]))
    VALIDATOR.validate(json.loads(Spec.from_json(entries[METADATA_KEY]).to_json()))


@pytest.mark.parametrize("detector", [False, True])
def test_the_schema_accepts_right_records(detector: bool) -> None:
    VALIDATOR.validate(record(detector=detector))


@pytest.mark.parametrize(("fault", "detector"), CASES, ids=[*FAULTS, *DETECTOR_FAULTS])
def test_the_schema_refuses_what_it_can_say(fault: Fault, detector: bool) -> None:
    data: Any = changed(record(detector=detector), fault.place, fault.value)
    assert VALIDATOR.is_valid(data) != fault.plain


def test_the_page_leads_to_the_schema() -> None:
    assert "(artifact.schema.json)" in (ROOT / "docs" / "artifact.md").read_text("utf-8")
