"""This file says what pyproject.toml cannot: packages, version, addresses and the front page.

The repository root is the package `graftcam`: cli.py is graftcam.cli. setuptools finds packages
below a folder, but puts no such name in front of theirs. On a package index the README's links
would lead nowhere; here they get the repository's address (``[tool.graftcam]`` in pyproject.toml).
"""

from __future__ import annotations

import re
import runpy
import tomllib
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
FOLDERS = ("commands", "demo", "exporter", "runtime")
# The target of a link or picture, in Markdown or HTML, that is neither an address nor an anchor.
LINK = re.compile(r"""(?P<before>\]\(|(?:src|href)=")(?![a-z]+:|\#)(?P<target>[^)"\s]+)""")
PICTURES = (".gif", ".jpg", ".png", ".svg", ".webp")


def packages() -> list[str]:
    """Name the packages, with graftcam in front."""
    include = [name for top in FOLDERS for name in (top, f"{top}.*")]
    return ["graftcam", *(f"graftcam.{name}" for name in find_packages(str(ROOT), include=include))]


def front_page(text: str, repository: str, version: str) -> str:
    """Lead the links of a page to the files of this release, if the repository has an address."""

    def absolute(link: re.Match[str]) -> str:
        kind = "raw" if link["target"].endswith(PICTURES) else "blob"
        return f"{link['before']}{repository}/{kind}/v{version}/{link['target']}"

    return LINK.sub(absolute, text) if repository else text


def addresses(repository: str) -> dict[str, str]:
    """List the pages that a package index shows beside the text."""
    if not repository:
        return {}
    return {
        "Repository": repository,
        "Documentation": f"{repository}/tree/HEAD/docs",
        "Changelog": f"{repository}/blob/HEAD/CHANGELOG.md",
        "Issues": f"{repository}/issues",
    }


if __name__ == "__main__":
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    address = project["tool"]["graftcam"]["repository"]
    release = runpy.run_path(str(ROOT / "runtime" / "version.py"))["__version__"]
    setup(
        script_name="setup.py",  # so that this file is no module of the package
        version=release,
        packages=packages(),
        project_urls=addresses(address),
        long_description=front_page((ROOT / "README.md").read_text("utf-8"), address, release),
        long_description_content_type="text/markdown",
    )
