"""The documents agree with the code."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path

import click
import pytest

from graftcam.cli import main
from graftcam.exporter.differentiate.rules import table
from graftcam.exporter.report.operators import markdown
from graftcam.exporter.verify.verdict.findings import CHECKS, Finding
from graftcam.runtime.methods.table import METHODS
from support.cli import call
from support.paths import ROOT


def test_the_operator_table_is_the_registrys() -> None:
    assert (ROOT / "docs" / "operators.md").read_text() == markdown()
    assert call("ops", "--markdown").stdout == markdown()


def test_each_operator_is_listed_with_its_state_and_what_a_refused_one_asks_for() -> None:
    rows = json.loads(call("ops", "--json").stdout)
    assert {rows[name]["state"] for name in ("Conv", "Sigmoid")} == {"rule"}
    assert rows["Hardmax"] == {"since": 1, "state": "zero", "adjoint": "declared zero"}
    assert rows["Loop"]["state"] == "refused"
    assert re.match(r"refused: .*; export the model with the loop unr", rows["Loop"]["adjoint"])


def test_the_readme_counts_the_rules() -> None:
    text = (ROOT / "README.md").read_text()
    match = re.search(r"through\s+(\d+) ONNX operators", text)
    assert match
    assert int(match.group(1)) == sum(entry.rule is not None for entry in table().values())


def test_every_method_and_option_is_documented() -> None:
    pages = ("methods.md", "transformers.md")
    text = "\n".join((ROOT / "docs" / page).read_text() for page in pages)
    for method, record in METHODS.items():
        rows = re.findall(rf"^\| `{re.escape(method)}` \|.*$", text, re.MULTILINE)
        assert any(record.source in row for row in rows), method
        for option in record.options:
            assert re.search(rf"`{option}[=`]", text), option


PAGES = [*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")]


def anchors(page: Path) -> set[str]:
    """Addresses of a page's headings, as GitHub makes them."""
    headings = re.findall(r"^#+ (.*)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", text.lower()).replace(" ", "-") for text in headings}


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in re.findall(r"\]\((?!http)([^)#\s]*)#?([^)\s]*)\)", page.read_text()):
        assert (page.parent / target).exists(), target
        if anchor:
            assert anchor in anchors(page.parent / target if target else page), anchor


# A command line of a document: what follows `graftcam` up to the end, lines joined at backslashes.
LINE = re.compile(r"^ *graftcam ((?:[^\n\\]|\\\n)+)|`graftcam ([^`]+)`", re.MULTILINE)


def command_lines() -> list[tuple[str, list[str]]]:
    """Pages, and the words of each command line in them, up to a comment or another program."""
    return [
        (page.name, shlex.split(re.sub(r"\s[#|&;].*", "", block or inline).replace("\\\n", " ")))
        for page in PAGES
        for block, inline in LINE.findall(page.read_text())
    ]


def parse(words: Sequence[str]) -> None:
    """Parse a command line without running it: names, options and their values.

    Raises:
        click.UsageError: There is no such command or option, or its value is none that it takes.
    """
    command, context = main, click.Context(main)
    rest = list(words)
    if rest and rest[0] in {flag for option in main.params for flag in option.opts}:
        return  # `graftcam --version`
    while isinstance(command, click.Group):
        _, found, rest = command.resolve_command(context, rest)
        assert found is not None
        command, context = found, click.Context(found, parent=context)
    given, _, _ = command.make_parser(context).parse_args(rest)
    for option in command.params:
        value = given.get(option.name or "")
        # Names of a document's own, such as X0,Y0,X1,Y1, stand for values.
        if not isinstance(option, click.Option) or not value or re.search(r"'[A-Z]", repr(value)):
            continue
        # An option may go without its value, as `verify --json` does.
        if isinstance(value, (str, list, bool)):
            option.type_cast_value(context, value)


def test_the_commands_of_every_document_parse() -> None:
    found = command_lines()
    assert len(found) > 100
    for page, words in found:
        try:
            parse(words)
        except click.UsageError as error:
            # A text may name an option alone, without its value.
            alone = isinstance(error, click.BadOptionUsage) and words[-1].startswith("-")
            if not alone:
                pytest.fail(f"{page}: graftcam {' '.join(words)}: {error.format_message()}")


def test_a_wrong_command_line_does_not_parse() -> None:
    for text in ("explian a b", "explain a b --tpo 3", "explain a b --top x", "explain a b --top"):
        with pytest.raises(click.UsageError):
            parse(text.split())


def test_the_python_of_every_document_compiles() -> None:
    found = [
        (page, code)
        for page in PAGES
        for code in re.findall(r"^```python[^\n]*\n(.*?)^```$", page.read_text(), re.M | re.S)
    ]
    assert len(found) > 20
    for page, code in found:
        compile(code, str(page), "exec")


def test_the_targets_of_make_that_documents_name_exist() -> None:
    makefile = (ROOT / "Makefile").read_text()
    texts = [page.read_text() for page in PAGES]
    found = {name for text in texts for name in re.findall(r"(?:^|`)make ([\w-]+)", text, re.M)}
    assert {"demo", "test", "lint"} <= found
    for target in found:
        assert f"\n{target}:" in makefile, target


def test_the_release_page_lists_every_check_and_field() -> None:
    text = (ROOT / "docs" / "release.md").read_text()
    listed = re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)
    schema = json.loads((ROOT / "docs" / "verification.schema.json").read_text())
    assert listed == [*CHECKS, *schema["properties"]]
    finding = schema["$defs"]["finding"]["properties"]
    assert finding["check"]["enum"] == list(CHECKS)
    assert set(finding) == {entry.name for entry in fields(Finding)}
