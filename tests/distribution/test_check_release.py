"""A tag is released only if version, changelog and address agree with it."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from scripts.check_release import faults, main

CHANGELOG = """# Changelog

## [Unreleased]

## [1.2.0] - 2026-12-01

- A change.

## [1.1.0] - 2026-11-01

- An older one.
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout that may be released as v1.2.0."""
    (tmp_path / "runtime").mkdir()
    (tmp_path / "runtime" / "version.py").write_text('__version__ = "1.2.0"\n')
    (tmp_path / "CHANGELOG.md").write_text(CHANGELOG)
    (tmp_path / "pyproject.toml").write_text(
        '[tool.graftcam]\nrepository = "https://example.org"\n'
    )
    return tmp_path


def change(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))


def test_a_checkout_that_agrees_may_be_released(checkout: Path) -> None:
    assert list(faults("v1.2.0", checkout)) == []


@pytest.mark.parametrize(
    ("file", "old", "new", "fault"),
    [
        ("runtime/version.py", "1.2.0", "1.3.0", "tag v1.2.0: runtime/version.py has 1.3.0"),
        ("runtime/version.py", "1.2.0", "1.2", "'1.2' is no version"),
        ("CHANGELOG.md", "[1.2.0]", "[1.0.0]", r"nothing is below '## \[1.2.0\]"),
        ("CHANGELOG.md", "- A change.\n", "", r"nothing is below '## \[1.2.0\]"),
        ("CHANGELOG.md", " - 2026-12-01", "", r"\[1.2.0\] has no date"),
        ("CHANGELOG.md", "[Unreleased]\n", "[Unreleased]\n\n- New.\n", "is not empty"),
        ("pyproject.toml", "https://example.org", "", "repository is no address"),
    ],
)
def test_what_disagrees_is_named(checkout: Path, file: str, old: str, new: str, fault: str) -> None:
    change(checkout / file, old, new)
    found = list(faults("v1.2.0", checkout))
    assert any(re.search(fault, one) for one in found), found


def test_this_checkout_is_not_released_under_another_tag(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main("v99.0.0") == 1
    assert "tag v99.0.0: runtime/version.py has" in capsys.readouterr().err
