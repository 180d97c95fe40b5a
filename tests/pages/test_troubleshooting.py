"""The page of errors has every class, and its messages are those of the code."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from graftcam.exporter import errors as of_export
from graftcam.runtime import errors as of_runtime
from graftcam.runtime.errors import GraftcamError
from support.paths import ROOT

PAGE = (ROOT / "docs" / "troubleshooting.md").read_text("utf-8")
HOLE = "…"


def classes() -> set[str]:
    """The names of the error classes that users can meet."""
    return {
        name
        for module in (of_runtime, of_export)
        for name, value in vars(module).items()
        if isinstance(value, type) and issubclass(value, GraftcamError)
    }


def messages() -> list[str]:
    """Texts in the code, with a hole for each value that is put in."""
    files = [
        path
        for half in ("exporter", "runtime", "commands")
        for path in ROOT.glob(f"{half}/**/*.py")
    ]
    found = {text for path in files for text in _texts(ast.parse(path.read_text("utf-8")))}
    return sorted(text for text in found if " " in text)


def _texts(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value
        elif isinstance(node, ast.JoinedStr):
            yield "".join(
                str(part.value) if isinstance(part, ast.Constant) else HOLE for part in node.values
            )


def matches(quoted: str) -> re.Pattern[str]:
    """Match a code's text that begins as a quoted message, whose holes may be of any length."""
    parts = [re.escape(part) for part in quoted.split(HOLE)]
    return re.compile(".*".join(parts), re.DOTALL)


def test_every_class_has_its_section_in_order() -> None:
    sections = re.findall(r"^## (\w+Error)$", PAGE, re.MULTILINE)
    assert sections == sorted(classes())


def test_messages_begin_as_the_codes_do_and_stand_in_order() -> None:
    texts = messages()
    for section in PAGE.split("\n## ")[1:]:
        rows = re.findall(r"^\| `([^`]+)` \|", section, re.MULTILINE)
        assert rows == sorted(rows, key=str.lower), section.partition("\n")[0]
        unknown = [row for row in rows if not any(map(matches(row).match, texts))]
        assert unknown == []
