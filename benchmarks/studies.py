"""``python -m benchmarks.studies`` renews the documents' pictures that other programs draw.

It runs each program and writes to ``docs``:

- ``images/study.jpg`` and ``study.json``: false alarms of the demo's network (`demo.study`);
- ``images/captions.jpg``: a map for each word of a caption (`examples.captions`, which trains).

``--only study`` runs this one alone.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from .jpeg import write_jpeg
from .script import DOCS, ROOT, options, say

_PROGRAMS = {
    "study": ("graftcam.demo.study", "--to"),
    "captions": ("examples.captions.captions",),
}
_PICTURES = {"study": "study.jpg", "captions": "words-1.png"}


def main() -> int:
    """Run and copy; see the module."""
    asked = options(
        __doc__, docs=(DOCS, "folder of the documents"), only=([*_PROGRAMS], "which to run")
    )
    for name in asked.only:
        say(name)
        folder = ROOT / ".bench" / name
        _run(*_PROGRAMS[name], str(folder))
        write_jpeg(folder / _PICTURES[name], asked.docs / "images" / f"{name}.jpg")
        if (record := folder / f"{name}.json").exists():
            shutil.copy(record, asked.docs)
    return 0


def _run(module: str, *words: str) -> None:
    # The package's folder may not be installed.
    paths = [str(ROOT.parent), *filter(None, [os.environ.get("PYTHONPATH")])]
    subprocess.run(
        [sys.executable, "-m", module, *words], cwd=ROOT, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
