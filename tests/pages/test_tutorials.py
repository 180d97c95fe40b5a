"""A reader who types what the tutorials say gets through them.

Blocks run in their order, in an empty folder. Left out are those behind ``<!-- not run: why -->``,
whose commands are only parsed (test_documents.py), and those behind ``<!-- slow -->``.
"""

from __future__ import annotations

import re
import shlex
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from support.cli import call
from support.paths import ROOT

TUTORIALS = sorted((ROOT / "docs" / "tutorials").glob("*.md"))
_BLOCK = re.compile(
    r"(?:<!-- (?P<mark>[^>]*) -->\n+)?^```(?P<kind>\w+)(?: title=\"(?P<title>[^\"]+)\")?\n"
    r"(?P<text>.*?)^```$",
    re.MULTILINE | re.DOTALL,
)


@dataclass(frozen=True)
class Block:
    """A block of code of a page: its language, its text, the file it becomes, and its mark."""

    kind: str
    text: str
    title: str
    mark: str


def blocks(page: Path) -> list[Block]:
    found = _BLOCK.finditer(page.read_text("utf-8"))
    return [Block(m["kind"], m["text"], m["title"] or "", m["mark"] or "") for m in found]


def commands(text: str) -> list[list[str]]:
    """The words of each command line of ``graftcam`` in a block."""
    lines = text.replace("\\\n", " ").splitlines()
    return [shlex.split(line, comments=True)[1:] for line in lines if line.startswith("graftcam ")]


def test_the_tutorials_are_found() -> None:
    assert len(TUTORIALS) == 6
    assert all(blocks(page) for page in TUTORIALS)


@pytest.mark.parametrize("page", TUTORIALS, ids=lambda page: page.stem)
def test_what_a_tutorial_says_can_be_done(
    page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    names: dict[str, Any] = {}
    printed: str | None = None  # by the block before; None: it did not run
    for block in blocks(page):
        if block.mark.startswith(("not run", "slow")):
            printed = None
            continue
        if block.title:
            Path(block.title).write_text(block.text, "utf-8")
        elif block.kind == "python":
            capsys.readouterr()
            exec(compile(block.text, str(page), "exec"), names)
            printed = capsys.readouterr().out
        elif block.kind == "sh":
            printed = ""
            for words in commands(block.text):
                done = call(*words)
                assert done.exit_code == 0, f"graftcam {shlex.join(words)}\n{done.output}"
                printed += done.stdout
        elif block.kind == "text" and printed is not None:
            assert same(block.text, printed), f"{block.text}\n---\n{printed}"


def same(shown: str, printed: str) -> bool:
    """Whether a page shows what was printed, apart from numbers; ``...`` stands for anything."""
    parts = [re.escape(_no_numbers(part)) for part in shown.strip().split("...")]
    return re.search(".*".join(parts), _no_numbers(printed), re.DOTALL) is not None


def _no_numbers(text: str) -> str:
    return re.sub(r"-?\d+(\.\d+)?", "0", re.sub(r" +", " ", text))
