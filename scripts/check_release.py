"""Say whether this commit may be released under a tag: `python scripts/check_release.py v0.1.0`.

The tag, the version, the changelog and the repository's address must agree. It prints a line for
each thing to mend, and exits with 1 if there is one. It needs the standard library only.
"""

from __future__ import annotations

import re
import runpy
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
HEADING = re.compile(r"^## \[(?P<name>[^]]+)\](?: - (?P<date>\S+))?$", re.MULTILINE)


def faults(tag: str, root: Path = ROOT) -> Iterator[str]:
    """Yield what speaks against the release, a line each.

    Args:
        tag: The tag of the commit, such as ``v0.1.0``.
        root: The folder of the checkout.
    """
    version = runpy.run_path(str(root / "runtime" / "version.py"))["__version__"]
    if not re.fullmatch(r"\d+\.\d+\.\d+((a|b|rc)\d+)?", version):
        yield f"runtime/version.py: {version!r} is no version such as 1.2.3 or 1.2.3rc1"
    if tag != f"v{version}":
        yield f"tag {tag}: runtime/version.py has {version}; tag it v{version}, or change the file"
    yield from _changelog(version, (root / "CHANGELOG.md").read_text("utf-8"))
    settings = tomllib.loads((root / "pyproject.toml").read_text("utf-8"))["tool"]["graftcam"]
    if not settings["repository"].startswith("https://"):
        yield "pyproject.toml: [tool.graftcam] repository is no address; enter https://..."


def _changelog(version: str, text: str) -> Iterator[str]:
    """Yield what the changelog lacks of a version."""
    found = list(HEADING.finditer(text))
    ends = [one.start() for one in found[1:]] + [len(text)]
    sections = {
        one["name"]: (one["date"] or "", text[one.end() : end].strip())
        for one, end in zip(found, ends, strict=True)
    }
    date, body = sections.get(version, ("", ""))
    if not body:
        yield f"CHANGELOG.md: nothing is below '## [{version}] - YYYY-MM-DD'; write what changed"
    elif not re.fullmatch(r"\d{4}-\d\d-\d\d", date):
        yield f"CHANGELOG.md: the heading of [{version}] has no date; write '- YYYY-MM-DD' after it"
    if sections.get("Unreleased", ("", ""))[1]:
        yield f"CHANGELOG.md: [Unreleased] is not empty; move its text to [{version}]"


def main(tag: str) -> int:
    """Print every fault; return an exit code."""
    found = list(faults(tag))
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/check_release.py TAG")
    sys.exit(main(sys.argv[1]))
