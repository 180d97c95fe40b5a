"""The pages of migration and comparison show the stored figures, and their calls exist."""

from __future__ import annotations

import json

import numpy as np
import pytest

from benchmarks.migration.case import Case, agreement, same
from benchmarks.migration.convert import CONVERSIONS
from benchmarks.migration.page import with_agreement, with_times
from benchmarks.migration.table import CASES
from graftcam.runtime.methods.table import METHODS
from support.paths import ROOT

DOCS = ROOT / "docs"
RECORD = json.loads((DOCS / "migration.json").read_text("utf-8"))
FOUND = {peer: {row["call"]: row for row in one["rows"]} for peer, one in RECORD["peers"].items()}


def test_the_pages_show_the_stored_figures() -> None:
    page = (DOCS / "migration.md").read_text("utf-8")
    again = "run `python -m benchmarks.migration --pages`"
    assert with_agreement(page, RECORD, CASES) == page, again
    page = (DOCS / "comparison.md").read_text("utf-8")
    rows = json.loads((DOCS / "benchmarks.json").read_text("utf-8"))["rows"]
    assert with_times(page, rows) == page, again


@pytest.mark.parametrize("peer", CASES)
def test_each_call_was_measured_and_a_difference_is_explained(peer: str) -> None:
    rows = FOUND[peer]
    assert set(rows) <= {case.call for case in CASES[peer]}
    for case in CASES[peer]:
        assert set(case.options) <= set(METHODS[case.method].options)
        assert case.convert in CONVERSIONS
        measured = case.call in rows
        assert case.why or (measured and same(rows[case.call])), case.call
        assert not measured or rows[case.call]["method"] == case.method


@pytest.mark.parametrize("peer", [peer for peer in CASES if peer != "OpenVINO XAI"])
def test_gradients_agree_with_every_package_that_has_them(peer: str) -> None:
    (plain,) = [
        case for case in CASES[peer]
        if case.method == "gradcam" and not case.options and not case.augment
    ]  # fmt: skip
    assert FOUND[peer][plain.call]["difference"] < 1e-4


def test_calls_are_written_as_they_are_typed() -> None:
    case = Case("X", "gradcam", {"relu": False, "samples": 3}, augment=True)
    assert case.python == 'method="gradcam", options={"relu": False, "samples": 3}, augment=True'
    assert case.shell == (
        "--method gradcam --option relu=false --option samples=3 --augment flip --augment scale"
    )
    two = Case("X", "finercam", second=True)
    assert two.python == '[c, d], method="finercam"'
    assert two.shell == "--class C --class D --method finercam"


def test_agreement() -> None:
    theirs = np.array([[0.0, 1.0], [2.0, 4.0]])
    found = agreement(theirs, theirs + np.array([[0, 0], [0, 0.4]]))
    assert found["difference"] == pytest.approx(0.1)
    assert 0.9 < found["correlation"] < 1
    for bad in (np.zeros((2, 2)), np.full((2, 2), np.nan), np.zeros((4,))):
        with pytest.raises(ValueError, match=r"empty|shapes"):
            agreement(theirs, bad)


def test_conversions() -> None:
    map_ = np.array([[1.0, 2.0], [3.0, 5.0]], np.float32)
    np.testing.assert_allclose(CONVERSIONS["stretched"](map_, (2, 2)), (map_ - 1) / 4)
    zoomed = CONVERSIONS["zoomed, stretched"](map_, (3, 3))  # corners on corners
    np.testing.assert_allclose(zoomed[::2, ::2], (map_ - 1) / 4, atol=1e-6)
    for name in ("stretched, resized, stretched", "resized"):
        large = CONVERSIONS[name](map_, (4, 6))
        assert large.shape == (4, 6)
        assert large[0, 0] < large[0, 3] < large[3, 5]
