"""``python -m benchmarks.migration`` compares graftcam's maps with those of six other packages.

All explain the same class of one photograph by one model. pytorch-grad-cam, captum and torch-cam
run here. The others need older packages: they run in two environments, which are made once, in
``.bench/migration`` (3 GB). Figures go to ``docs/migration.json`` and into
docs/migration.md, and the times of docs/benchmarks.json into docs/comparison.md.
"""

from __future__ import annotations

import json
from pathlib import Path

from ..field.packages import CACHE
from ..script import DOCS, ROOT, options, write_json
from .measure import measure
from .page import with_agreement, with_times
from .subject import load_subject
from .table import CASES


def main() -> None:
    """Compare all packages, or those named; write figures and pages."""
    asked = options(
        __doc__,
        peers=(list(CASES), "the packages to compare again"),
        cache=(CACHE, "folder of the downloaded packages"),
        folder=(ROOT / ".bench" / "migration", "folder for environments"),
        docs=(DOCS, "where figures and pages go"),
        pages=(False, "only write the pages, from the stored figures"),
    )
    figures: Path = asked.docs / "migration.json"
    stored = json.loads(figures.read_text("utf-8")) if figures.exists() else {"peers": {}}
    if not asked.pages:
        stored = measure(asked.peers, load_subject(asked.cache), asked.folder, stored["peers"])
        write_json(figures, stored)
    page = asked.docs / "migration.md"
    page.write_text(with_agreement(page.read_text("utf-8"), stored, CASES), "utf-8")
    times = json.loads((asked.docs / "benchmarks.json").read_text("utf-8"))["rows"]
    page = asked.docs / "comparison.md"
    page.write_text(with_times(page.read_text("utf-8"), times), "utf-8")


if __name__ == "__main__":
    main()
