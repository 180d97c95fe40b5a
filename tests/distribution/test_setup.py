"""setup.py names the packages, and makes a front page whose links lead somewhere."""

from __future__ import annotations

import runpy
from typing import Any

import pytest

from support.paths import ROOT

ADDRESS = "https://example.org/graftcam"


@pytest.fixture(scope="module")
def made() -> dict[str, Any]:
    """The functions of setup.py."""
    return runpy.run_path(str(ROOT / "setup.py"))


def test_every_folder_with_modules_is_a_package(made: dict[str, Any]) -> None:
    folders = {
        path.parent.relative_to(ROOT)
        for top in made["FOLDERS"]
        for path in (ROOT / top).rglob("*.py")
    }
    assert set(made["packages"]()) == {
        "graftcam", *(".".join(("graftcam", *folder.parts)) for folder in folders),
    }  # fmt: skip


@pytest.mark.parametrize(
    ("text", "becomes"),
    [
        ("[a](docs/a.md#b)", f"[a]({ADDRESS}/blob/v1.2.3/docs/a.md#b)"),
        ("![a](docs/a.jpg)", f"![a]({ADDRESS}/raw/v1.2.3/docs/a.jpg)"),
        ('<img src="docs/a.png" alt="">', f'<img src="{ADDRESS}/raw/v1.2.3/docs/a.png" alt="">'),
        ("[a](https://b.org/c)", "[a](https://b.org/c)"),
        ("[a](#below)", "[a](#below)"),
        ("[a](mailto:b@c.org)", "[a](mailto:b@c.org)"),
    ],
)
def test_links_lead_to_the_files_of_the_release(
    made: dict[str, Any], text: str, becomes: str
) -> None:
    assert made["front_page"](text, ADDRESS, "1.2.3") == becomes
    assert made["front_page"](text, "", "1.2.3") == text


def test_no_link_of_the_readme_stays_relative(made: dict[str, Any]) -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    assert "](docs/" in text
    page = made["front_page"](text, ADDRESS, "1.2.3")
    assert "](docs/" not in page
    assert 'src="docs/' not in page


def test_addresses_are_listed_once_there_is_one(made: dict[str, Any]) -> None:
    assert made["addresses"]("") == {}
    assert made["addresses"](ADDRESS)["Changelog"] == f"{ADDRESS}/blob/HEAD/CHANGELOG.md"
    assert (ROOT / "CHANGELOG.md").is_file()
