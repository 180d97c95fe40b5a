"""The page of detectors is what its script writes from the stored figures."""

from __future__ import annotations

import json
import re

import pytest

from benchmarks.detectors.measure import averages
from benchmarks.detectors.page import with_figures
from benchmarks.detectors.subjects import COMMANDS, FACES, SUBJECTS
from support.paths import ROOT

DOCS = ROOT / "docs"
PAGE = (DOCS / "detectors.md").read_text("utf-8")
RECORD = json.loads((DOCS / "detectors.json").read_text("utf-8"))


def test_the_page_shows_the_stored_figures_and_what_commands_printed() -> None:
    assert with_figures(PAGE, RECORD) == PAGE


def test_the_stored_figures_are_those_of_the_scripts_models_and_commands() -> None:
    assert [one["export"] for one in RECORD["subjects"]] == [one.export for one in SUBJECTS]
    assert {name: one["line"] for name, one in RECORD["commands"].items()} == COMMANDS
    for subject in SUBJECTS:  # how each artifact is made stands in the page
        assert subject.export in PAGE or "--context" in subject.export


def test_only_faces_and_parts_of_pages_are_shown() -> None:
    texts = [PAGE, json.dumps(RECORD), (ROOT / "README.md").read_text("utf-8")]
    shouted = set(re.findall(r"\b[A-Z]{3,}(?:_[A-Z]+)+\b", " ".join(texts)))
    assert shouted <= set(FACES)


def test_maps_lie_in_their_boxes_and_not_in_others() -> None:
    faces = RECORD["subjects"][0]
    means = {row["method"]: row for row in faces["means"]}
    assert means["hirescam"]["own"] >= 0.85
    assert means["hirescam"]["others"] <= 0.02
    assert means["gradcam"]["own"] < 0.2


def test_pictures_are_small() -> None:
    for name, line in COMMANDS.items():
        picture = DOCS / "images" / f"detectors-{name}.jpg"
        assert picture.exists() == ("-o" in line)
        if picture.exists():
            assert picture.stat().st_size <= 150_000
            assert f"images/{picture.name}" in PAGE


def test_an_empty_map_counts_as_nothing_in_its_box() -> None:
    rows = [
        {"method": "gradcam", "empty": False, "own": 0.5, "others": 0.2, "left": 0.4},
        {"method": "gradcam", "empty": True, "own": 0.0, "others": 0.0, "left": 1.0},
    ]
    (mean,) = averages(rows)
    assert (mean["boxes"], mean["empty"]) == (2, 1)
    assert [mean[name] for name in ("own", "others", "left")] == pytest.approx([0.25, 0.1, 0.7])
