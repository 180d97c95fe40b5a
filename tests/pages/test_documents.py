"""What the documents say is what the code does."""

from __future__ import annotations

import json
import re
from dataclasses import fields

import pytest
from click.testing import CliRunner

from graftcam.cli import main
from graftcam.exporter.differentiate.rules import table
from graftcam.exporter.report.operators import markdown
from graftcam.exporter.verify.findings import CHECKS, Finding
from graftcam.runtime.methods.table import METHODS
from support.paths import ROOT


def test_the_operator_table_is_the_registrys() -> None:
    assert (ROOT / "docs" / "operators.md").read_text() == markdown()
    assert CliRunner().invoke(main, ["ops", "--markdown"]).stdout == markdown()


def test_each_operator_is_listed_with_its_state_and_what_a_refused_one_asks_for() -> None:
    rows = json.loads(CliRunner().invoke(main, ["ops", "--json"]).stdout)
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
    text = (ROOT / "docs" / "methods.md").read_text()
    for method, record in METHODS.items():
        rows = re.findall(rf"^\| `{re.escape(method)}` \|.*$", text, re.MULTILINE)
        assert any(record.source in row for row in rows), method
        for option in record.options:
            assert re.search(rf"`{option}[=`]", text), option


@pytest.mark.parametrize(
    "name",
    [
        "README.md",
        "docs/artifact.md",
        "docs/methods.md",
        "docs/deploy.md",
        "docs/release.md",
        "CONTRIBUTING.md",
    ],
)
def test_links_lead_somewhere(name: str) -> None:
    page = ROOT / name
    for target in re.findall(r"\]\((?!http)([^)#]+)\)", page.read_text()):
        assert (page.parent / target).exists(), target


def test_the_readmes_commands_exist() -> None:
    text = (ROOT / "README.md").read_text()
    for command in re.findall(r"graftcam (\w+) ", text):
        if command in ("export", "explain", "layers", "demo", "inspect", "ops", "bench"):
            assert command in main.commands
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"^make (\w+)", text, re.MULTILINE):
        assert f"\n{target}:" in makefile


def test_the_release_page_lists_every_check_and_field() -> None:
    text = (ROOT / "docs" / "release.md").read_text()
    listed = re.findall(r"^\| `([\w-]+)` \|", text, re.MULTILINE)
    schema = json.loads((ROOT / "docs" / "verification.schema.json").read_text())
    assert listed == [*CHECKS, *schema["properties"]]
    finding = schema["$defs"]["finding"]["properties"]
    assert finding["check"]["enum"] == list(CHECKS)
    assert set(finding) == {entry.name for entry in fields(Finding)}
