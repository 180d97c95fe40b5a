"""`write_index` writes the demo's ``index.html``, which shows its pictures in order."""

from __future__ import annotations

import importlib.util
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from ..runtime.errors import GraftcamError
from ..runtime.writing import replace_file
from .explain_photographs import ARTIFACT, REPORT, Explained
from .run import Summary

if TYPE_CHECKING:
    from ..exporter import Report

INDEX = "index.html"


def need_jinja() -> None:
    """Raise GraftcamError if the page cannot be made, before any work."""
    if importlib.util.find_spec("jinja2") is None:
        raise GraftcamError('Jinja2 is missing; the demo needs: pip install "graftcam[cpu,demo]"')


def write_index(
    folder: Path, report: Report | None, explained: Sequence[Explained], digits: Summary | None
) -> Path:
    """Write the page; its pictures are files beside it.

    Args:
        folder: The demo's folder.
        report: The report of EfficientNet-Lite0; None: no photographs were explained.
        explained: The photographs.
        digits: The result of the digits; None: they were not explained.

    Raises:
        GraftcamError: The page cannot be written.
    """
    from ..exporter.report.page.templates import render

    facts = {
        "artifact": ARTIFACT, "report": report, "report_page": REPORT[0], "explained": explained,
        "digits": digits,
    }  # fmt: skip
    html = render(Path(__file__).with_name(INDEX), facts, {"address": _address})
    return replace_file(folder / INDEX, html.encode(errors="backslashreplace"), GraftcamError)


def _address(name: str) -> str:
    """Return a file's name as a relative address; names may hold bytes that are no UTF-8."""
    return quote(name, errors="surrogateescape")
