"""Records with random changes are read, or refused in one line; nothing else happens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import jsonschema
from hypothesis import given, settings
from hypothesis import strategies as st

from docs.artifact_schema import artifact_schema
from graftcam.runtime.errors import SpecError
from graftcam.runtime.spec import Spec
from support.record_faults import Place, changed, record

RECORDS = [record(), record(detector=True)]
SCHEMA = jsonschema.Draft202012Validator(artifact_schema())


def places(value: Any, before: Place = ()) -> Iterator[Place]:
    """Where a record has values, from the outermost to the innermost."""
    if not isinstance(value, (dict, list)):
        return
    for key, one in value.items() if isinstance(value, dict) else enumerate(value):
        yield (*before, key)
        yield from places(one, (*before, key))


PLAIN = (
    st.none() | st.booleans() | st.floats() | st.text(max_size=8) | st.integers()
    | st.sampled_from([0, -1, 10**12, 10**39, 1e300, "..", "C:x", "\ud800", "\x1b[2J", [], {}])
)  # fmt: skip
VALUES = st.recursive(
    PLAIN,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
    ),
    max_leaves=4,
)
CHANGES = st.sampled_from(
    [(number, place) for number, one in enumerate(RECORDS) for place in places(one)]
)


def read(text: str) -> Spec | None:
    """The record; None if it is refused as it should be."""
    try:
        return Spec.from_json(text)
    except SpecError as error:
        message = str(error)
    assert "\n" not in message
    assert len(message) < 500
    return None


@settings(max_examples=400, deadline=None)
@given(CHANGES, VALUES)
def test_another_value_is_read_or_refused(change: tuple[int, Place], value: Any) -> None:
    number, place = change
    found = read(json.dumps(changed(RECORDS[number], place, value)))
    if found is not None:  # then it is right: it can be written, and read again
        assert Spec.from_json(found.to_json()) == found
        SCHEMA.validate(json.loads(found.to_json()))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(RECORDS), st.data(), st.text(max_size=6))
def test_a_text_with_a_piece_replaced_is_read_or_refused(
    data: dict[str, Any], draw: st.DataObject, piece: str
) -> None:
    text = json.dumps(data)
    first = draw.draw(st.integers(0, len(text)))
    last = draw.draw(st.integers(first, min(first + 20, len(text))))
    found = read(text[:first] + piece + text[last:])
    assert found is None or Spec.from_json(found.to_json()) == found
