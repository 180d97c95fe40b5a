"""`graftcam report` joins the records of several models: a page for people, JUnit XML for CI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from ..runtime.exit_codes import ExitCode
from ..runtime.plain_text import plain
from .common import command, need_exporter
from .guarded import Destination
from .opening import open_option, open_written
from .options import json_option, to_option
from .terminal import note, tell


class _Records(click.ParamType):
    """Files and folders that are read. The page may be written to one of these folders."""

    name = "path"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Path:
        return Path(value)


@command(
    "graftcam report dist -o dist",
    "graftcam report resnet50.json detector.json -o site --junit junit.xml",
    "graftcam report dist --junit junit.xml",
)
@click.argument("records", nargs=-1, required=True, type=_Records())
@to_option("folder", "DIR", "Folder for the page, index.html.", folder=True, required=False)
@click.option("--junit", type=Destination(), metavar="FILE",
              help="Write JUnit XML, which GitLab, Jenkins and actions for GitHub show: a suite "
                   "for each model, a case for each check.")  # fmt: skip
@open_option
@json_option
def report(
    records: tuple[Path, ...], folder: Path | None, junit: Path | None, opened: bool, as_json: bool
) -> None:  # fmt: skip
    """Join the verifications of a release's models in one page: which of them may ship, and why.

    RECORDS are files of `graftcam verify --json`, report.json of `graftcam export --report`, or
    folders with such reports in or below them.

    The exit code is that of the worst: 0 if all may ship, 1 if one failed, 3 if nothing failed but
    something is not proven or was not checked.
    """
    if folder is None and junit is None:
        raise click.UsageError("give -o DIR for a page, --junit FILE for CI, or both")
    need_exporter()
    from ..exporter.errors import WriteError
    from ..exporter.report.junit import junit as junit_of
    from ..exporter.report.page.release import check_release, release_answer, write_release
    from ..exporter.report.record import read_records
    from ..runtime.writing import protected, replace_file

    if folder is not None:
        check_release(folder)
    found = read_records(records)
    written: list[Path] = []
    with protected([one.path for one in found if one.path is not None]):
        if folder is not None:
            written.append(write_release(folder, found))
        if junit is not None:
            written.append(replace_file(junit, junit_of(found), WriteError))
    answer, verdicts = release_answer(found), {one.verdict for one in found}
    code = ExitCode.DONE if verdicts == {"pass"} else ExitCode.UNPROVEN
    code = ExitCode.FAILED if verdicts & {"fail", "error"} else code
    tell(
        {
            "may_ship": code is ExitCode.DONE, "answer": answer.word, "why": answer.why,
            "models": [{"name": one.name, "verdict": one.verdict} for one in found],
            "files": written,
        },
        plain(f"May it ship? {answer.word}. {answer.why}"), as_json=as_json,
    )  # fmt: skip
    for path in written:
        note(plain(str(path)))
    if opened:
        open_written(written[:1])
    if code:
        raise click.exceptions.Exit(code)
