"""The notebooks run as they stand, and hold no outputs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from docs.notebooks.build import BOOKS, build, run
from graftcam.runtime import Explanation

PROMISED = {
    "first-map": ["verified: pass", "zero: score", "digits1-zero.png"],
    "method-and-layer": ["layer3", "needs input_gradients"],
    "edge": ["optional: ['class_index']", "same maps: True", "same logits: True"],
}


def cells(book: Path, kind: str) -> list[str]:
    """The texts of a notebook's cells of one kind."""
    data = json.loads(book.read_text("utf-8"))
    return ["".join(one["source"]) for one in data["cells"] if one["cell_type"] == kind]


def test_each_notebook_has_its_promises() -> None:
    assert {book.stem for book in BOOKS} == set(PROMISED)


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_notebooks_are_stored_without_outputs(book: Path) -> None:
    data = json.loads(book.read_text("utf-8"))
    ids = [cell["id"] for cell in data["cells"]]
    assert len(set(ids)) == len(ids)
    for cell in data["cells"]:
        if cell["cell_type"] == "code":
            assert cell["outputs"] == []
            assert cell["execution_count"] is None
    for text in cells(book, "code"):
        assert max(map(len, text.splitlines())) <= 100


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_links_of_notebooks_lead_somewhere(book: Path) -> None:
    for text in cells(book, "markdown"):
        for part in text.split("](")[1:]:
            target = part.partition(")")[0].partition("#")[0]
            assert target.startswith("http") or (book.parent / target).exists(), target


def test_notebooks_run_and_show_what_their_text_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    pages = build(tmp_path / "pages")
    assert [page.stem for page in pages] == [book.stem for book in BOOKS]
    for page in pages:
        text = page.read_text("utf-8")
        for promise in PROMISED[page.stem]:
            assert promise in text
        pictures = sorted(page.parent.glob(f"{page.stem}-*.png"))
        assert pictures
        assert all(f"]({picture.name})" in text for picture in pictures)
        assert ".ipynb" not in text


def test_a_class_that_is_not_there_has_no_evidence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    (book,) = [book for book in BOOKS if book.stem == "first-map"]
    shown = [cell.value for cell in run(book) if isinstance(cell.value, Explanation)]
    assert [one.status for one in shown] == [["ok"] * 3, ["zero"]]
