"""`failure_content` makes the texts of the page of an export that failed before its report."""

from __future__ import annotations

from typing import Any

from ...artifact.save import tool_versions
from ..answer import Answer
from ..known import Failure
from .content import MARKS, listed
from .scale import TICKS


def failure_content(failure: Failure) -> dict[str, Any]:
    """Return everything that the template needs, by its names there; empty is what is not known."""
    known = failure.known
    at = f" at the step “{failure.step}”" if failure.step else ""
    return {
        **listed(known.candidates, known.clock.seconds),
        "title": known.name,
        "file": known.path.name,
        "status": "error",
        "answer": Answer("No", f"Nothing was written: the export failed{at}."),
        "mark": MARKS,
        "ticks": TICKS,
        "message": failure.message.splitlines(),
        "failures": [],
        "tiles": [],
        "lines": [],
        "gallery": None,
        "boxes": None,
        "outputs": [],
        "layers": known.layers,
        "card": [("Source", known.name), *([("Scores", known.score)] if known.score else [])],
        "operators": None,
        "notes": known.notes,
        "tools": list(tool_versions().items()),
    }
