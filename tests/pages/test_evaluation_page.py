"""docs/evaluation.md says what was measured, and its table of measures is the code's."""

from __future__ import annotations

import json

import pytest

from benchmarks.evaluation.page import with_parts
from benchmarks.script import DOCS
from graftcam.runtime.tools.evaluate.candidates import ROWS
from graftcam.runtime.tools.evaluate.measure import MEASURES
from graftcam.runtime.tools.evaluate.settings import Tuning

PAGE = (DOCS / "evaluation.md").read_text("utf-8")
STORED = json.loads((DOCS / "evaluation.json").read_text("utf-8"))


def test_the_tables_are_those_of_the_figures() -> None:
    assert with_parts(PAGE, STORED) == PAGE


def test_every_part_has_the_rows_to_beat() -> None:
    for one in [STORED["digits"], *STORED["shapes"]]:
        for scores in one["scores"].values():
            assert {*ROWS} < {*scores}


@pytest.mark.parametrize("name", [*MEASURES, *vars(Tuning())])
def test_measures_and_numbers_are_on_the_page(name: str) -> None:
    assert f"`{name}" in PAGE
