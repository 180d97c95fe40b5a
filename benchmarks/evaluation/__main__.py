"""``python -m benchmarks.evaluation`` measures the figures of docs/evaluation.md.

Parts: ``digits`` and ``shapes`` score all methods where the truth is known, ``photographs`` scores
ten photographs, ``agreement`` compares measures with other packages (it downloads 0.7 GB once),
``cost`` times them beside Quantus and pytorch-grad-cam, on a quiet machine.
Results go to docs/evaluation.json and into the page; a part is measured again only if it is named.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from ..script import DOCS, ROOT, options, say, write_json
from .page import with_parts

PARTS = ("digits", "shapes", "photographs", "agreement", "cost")


def main() -> None:
    """Measure the missing parts, or those named, and write the page."""
    asked = options(
        __doc__,
        parts=([""], f"of {', '.join(PARTS)}; those that are missing by default"),
        canvases=(60, "images of digits"),
        shapes=(60, "images of each kind of shapes"),
        folder=(ROOT / ".bench" / "migration", "folder for environments"),
        docs=(DOCS, "where figures and page go"),
    )
    figures: Path = asked.docs / "evaluation.json"
    stored: dict[str, Any] = json.loads(figures.read_text("utf-8")) if figures.exists() else {}
    named = [part for part in asked.parts if part]
    for part in named or [part for part in PARTS if part not in stored]:
        say(part)
        stored[part] = _measured(part, asked)
        write_json(figures, {name: stored[name] for name in PARTS if name in stored})
    page = asked.docs / "evaluation.md"
    page.write_text(with_parts(page.read_text("utf-8"), stored), "utf-8")


def _measured(part: str, asked: Any) -> Any:
    if part == "agreement":
        from .agreement import agreement

        return agreement(asked.folder)
    if part == "cost":
        from .cost import cost

        return cost(ROOT / ".bench", os.cpu_count() or 1)
    from . import truths

    if part == "digits":
        return truths.digits(asked.canvases)
    if part == "shapes":
        return truths.shapes(asked.shapes)
    from .on_photographs import on_photographs

    return on_photographs(asked.docs / "images")


if __name__ == "__main__":
    main()
