"""The notebooks run as they stand, and hold no outputs."""

from __future__ import annotations

import ast
import contextlib
import io
import json
from pathlib import Path
from typing import Any

import pytest

from support.paths import ROOT

BOOKS = sorted((ROOT / "docs" / "notebooks").glob("*.ipynb"))
PROMISED = {
    "first-map": ["verified: pass", "zero: score", "digits1-zero.png"],
    "method-and-layer": ["layer3", "needs input_gradients"],
    "edge": ["optional: ['class_index']", "same maps: True", "same logits: True"],
}


def cells(book: Path, kind: str) -> list[str]:
    """The texts of a notebook's cells of one kind."""
    data = json.loads(book.read_text("utf-8"))
    return ["".join(one["source"]) for one in data["cells"] if one["cell_type"] == kind]


def run(book: Path) -> tuple[str, list[Any]]:
    """Run the code as a notebook does; return what it prints, and the values that it shows."""
    names: dict[str, Any] = {"__name__": "__main__"}
    printed, shown = io.StringIO(), list[Any]()
    with contextlib.redirect_stdout(printed):
        for number, text in enumerate(cells(book, "code")):
            tree = ast.parse(text)
            last = tree.body[-1]
            if isinstance(last, ast.Expr):
                tree.body.pop()
            exec(compile(tree, f"{book.name}[{number}]", "exec"), names)
            if isinstance(last, ast.Expr):
                value = eval(compile(ast.Expression(last.value), book.name, "eval"), names)
                shown += [] if value is None else [value]
    return printed.getvalue(), shown


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


@pytest.mark.parametrize("book", BOOKS, ids=lambda book: book.stem)
def test_notebooks_run_and_show_what_their_text_says(
    book: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))
    printed, shown = run(book)
    for promise in PROMISED[book.stem]:
        assert promise in printed
    pictures = [one for one in shown if hasattr(one, "_repr_png_")]
    assert pictures
    if book.stem == "first-map":
        three, absent = shown[-2:]
        assert three.status == ["ok"] * 3
        assert absent.status == ["zero"]
