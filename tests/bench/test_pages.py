"""The pages are what their scripts write from the stored figures."""

from __future__ import annotations

import json
import re
import shutil
from collections import Counter
from pathlib import Path
from typing import get_args

from benchmarks import gallery
from benchmarks.bench_report import write_report as write_benchmarks
from benchmarks.book import Book, read
from benchmarks.methods import with_table
from benchmarks.parts import CASES
from benchmarks.zoo_report import write_report as write_models
from graftcam.runtime.methods.table import METHODS
from graftcam.runtime.output.render.look import Style
from support.paths import ROOT

DOCS = ROOT / "docs"


def _benchmarks(folder: Path, code: str) -> str:
    stored = read(DOCS / "benchmarks.json")
    assert stored is not None
    rows = {row["key"]: row for row in stored["rows"]}
    write_benchmarks(Book(folder, stored["machine"], code, 0, False, rows), None, folder)
    return (folder / "benchmarks.md").read_text()


def test_the_benchmarks_page_shows_the_stored_rows(tmp_path: Path) -> None:
    for name in ("soak.json", "ray.json", "serve.json"):
        shutil.copy(DOCS / name, tmp_path)
    stored = read(DOCS / "benchmarks.json")
    assert stored is not None
    end = "## Since the earlier run"
    page = (DOCS / "benchmarks.md").read_text().partition(end)[0]
    # Rows that were not measured with the last code are marked.
    written = [_benchmarks(tmp_path, code) for code in {row["code"] for row in stored["rows"]}]
    assert page in [text.partition(end)[0] for text in written]


def test_the_stored_rows_are_those_that_the_bench_measures() -> None:
    stored = read(DOCS / "benchmarks.json")
    assert stored is not None
    # The points of the scaling part depend on the machine, its rows do not.
    assert {row["key"] for row in stored["rows"]} == {case.key for case in CASES}


def test_the_models_page_shows_the_stored_records(tmp_path: Path) -> None:
    records = json.loads((DOCS / "models.json").read_text())
    write_models(records, tmp_path, Counter(record["family"] for record in records))
    for name in ("models.md", "models.json"):
        assert (tmp_path / name).read_bytes() == (DOCS / name).read_bytes()


def test_the_methods_page_shows_the_stored_table() -> None:
    page = (DOCS / "methods.md").read_text("utf-8")
    assert with_table(page, json.loads((DOCS / "methods.json").read_text())) == page


def test_the_gallery_shows_each_method_and_each_style() -> None:
    text = gallery.page()
    assert (DOCS / "gallery.md").read_text("utf-8") == text
    for name in (*METHODS, *get_args(Style)):
        assert f"`--method {name}`" in text or f"`--style {name}`" in text
    images = re.findall(r"!\[[^\]]+\]\(([^)]+)\)", text)
    files = [DOCS / one for one in images]
    assert len(files) == len(set(files)) >= len(METHODS) + len(get_args(Style))
    assert sum(file.stat().st_size for file in files) < 3e6
    named = {file.stem for file in files if file.parent.name == "gallery"}
    assert named == set(gallery.IMAGES)
