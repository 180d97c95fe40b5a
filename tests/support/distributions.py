"""Building what is published, from the files that git knows."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

from .paths import ROOT


class Dist(NamedTuple):
    """What is published, and the copy of the checkout that it was built from."""

    wheel: Path
    sdist: Path
    tree: Path


def tracked() -> list[str]:
    """The checkout's files, without what git ignores."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout
    return [name for name in names.split("\0") if (ROOT / name).is_file()]


def build(tree: Path, out: Path, *options: str) -> None:
    """Run ``python -m build``, which uses an environment of its own."""
    command = [sys.executable, "-m", "build", "--outdir", str(out), *options, str(tree)]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    # So setuptools names what it left out, or will refuse one day.
    assert "Warning" not in said, said
