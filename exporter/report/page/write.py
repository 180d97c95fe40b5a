"""`write_report` writes ``index.html`` for people and ``report.json`` for machines."""

from __future__ import annotations

import contextlib
from collections.abc import Generator, Iterable
from pathlib import Path
from typing import Any

from ....runtime.errors import GraftcamError, system_errors
from ....runtime.json_text import write_json
from ....runtime.writing import guard, staged
from ...errors import WriteError
from ...verify.verdict.findings import Verdict
from ...verify.verdict.report import error_to_dict, to_dict
from ..known import Failure, Known
from ..record import REPORT, Record
from ..report import Report
from .content import content
from .detections import BoxGallery
from .failure import failure_content
from .overlays import Gallery
from .templates import need_jinja, render

_PAGE, _DATA = "index.html", REPORT


def check_folder(folder: Path, inputs: Iterable[str | Path]) -> None:
    """Refuse a folder that a report cannot be written to, before any work.

    Raises:
        WriteError: Jinja2 is missing, the folder cannot be made or written, a file of the report
            is an input, or the folder has another page.
    """
    need_jinja()
    inputs = list(inputs)
    guard(folder, inputs, WriteError, folder=True)
    for name in (_PAGE, _DATA):
        guard(folder / name, inputs, WriteError)
    if (folder / _PAGE).exists() and not (folder / _DATA).exists():
        raise WriteError(
            f"cannot write the report to {folder}: its {_PAGE} is no report; choose another folder"
        )


def write_report(
    folder: Path, artifact: Path, report: Report, shown: Gallery | BoxGallery | None
) -> None:
    """Write the report of an export that came to its end; it replaces an earlier one.

    Args:
        folder: Where it goes; created if it is missing.
        artifact: The file, at its temporary path.
        report: The report of its export.
        shown: The explained images, if any were given.

    Raises:
        WriteError: It cannot be written.
    """
    data = to_dict(artifact, report.spec, None, report.verdict or Verdict([]))
    if report.verdict is None:
        data["verdict"] = "skipped"
    data["export"] = report.to_dict()
    del data["export"]["verdict"]
    facts = content(report, shown, Record.of(data))
    _write(folder, facts, data)


@contextlib.contextmanager
def page_of_failure(folder: Path | None, known: Known) -> Generator[None]:
    """Write a report of what is known if an export fails; the error passes.

    Args:
        folder: Where it goes; None: nowhere.
        known: What is known, which grows as the export goes on.
    """
    try:
        yield
    except Exception as error:
        failure = None if folder is None else known.failed_with(error)
        if folder is not None and failure is not None:
            # The first error is the one to tell.
            with contextlib.suppress(GraftcamError, ImportError):
                _write_failure(folder, failure)
        raise


def _write_failure(folder: Path, failure: Failure) -> None:
    known = failure.known
    data = error_to_dict(known.path, known.name, failure.to_dict(), known.clock.seconds)
    _write(folder, failure_content(failure), {**data, "export": failure.export_to_dict()})


def _write(folder: Path, facts: dict[str, Any], data: dict[str, Any]) -> None:
    """Write both files, or none."""
    html = render(Path(__file__).with_name("page.html"), facts)
    text = write_json(data, indent=2, allow_nan=False)
    what = f"the report to {folder}"
    with (
        staged(folder, WriteError, what) as place,
        system_errors(WriteError, f"cannot write {what}"),
    ):
        # A message may quote what is no Unicode.
        (place / _PAGE).write_text(html, encoding="utf-8", errors="backslashreplace")
        (place / _DATA).write_text(f"{text}\n", encoding="utf-8")
