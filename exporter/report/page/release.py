"""`write_release` writes the index page of a release: its models, and which of them may ship."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ....runtime.errors import system_errors
from ....runtime.writing import guard, replace_file
from ...errors import WriteError
from ..answer import Answer, answer_of, counts, largest, listed, number
from ..record import Record
from .content import MARKS, bytes_of
from .scale import TICKS, Track, track
from .templates import need_jinja, render

PAGE = "index.html"
_SIGN = '<meta name="generator" content="graftcam report">'
_STATES = {
    "error": ("could not be exported", "could not be exported"),
    "fail": ("failed", "failed"),
    "unproven": ("is not proven", "are not proven"),
    "skipped": ("was not checked", "were not checked"),
}
_WORST = ("error", "fail", "unproven", "skipped", "pass")


@dataclass(frozen=True)
class Model:
    """One row of the page.

    Attributes:
        record: What was found.
        status: The verdict, as the page's colours name it.
        answer: Whether it may ship, and why.
        passed: How many checks passed, of how many.
        value: The difference that is nearest to its bound, or exceeds it, as text.
        bound: Its bound likewise.
        subject: The check that it is of.
        track: The same on the page's scale; None: nothing was measured.
        size: The file's size.
        link: Address of the model's own page; empty: there is none.
    """

    record: Record
    status: str
    answer: Answer
    passed: str
    value: str
    bound: str
    subject: str
    track: Track | None
    size: str
    link: str


def check_release(folder: Path) -> None:
    """Refuse a folder that the page cannot be written to.

    Raises:
        WriteError: Jinja2 is missing, the folder cannot be written, or it has another page.
    """
    need_jinja()
    guard(folder, (), WriteError, folder=True)
    page = folder / PAGE
    guard(page, (), WriteError)
    with system_errors(WriteError, f"cannot read {page}"):
        ours = not page.exists() or _SIGN in page.read_text("utf-8", "replace")
    if not ours:
        raise WriteError(f"{page} is no page of `graftcam report`; choose another folder")


def write_release(folder: Path, records: Sequence[Record]) -> Path:
    """Write the page; it replaces an earlier one.

    Args:
        folder: Where it goes; created if it is missing.
        records: The models.

    Raises:
        WriteError: See `check_release`.
    """
    check_release(folder)
    models = sorted(
        (_model(one, folder) for one in records),
        key=lambda one: (_WORST.index(one.record.verdict), one.record.name, one.record.file),
    )
    facts = {
        "models": models, "mark": MARKS, "ticks": TICKS,
        "answer": release_answer(records), "status": _status(_worst(records)),
    }  # fmt: skip
    html = render(Path(__file__).with_name("release.html"), facts)
    data = html.encode("utf-8", "backslashreplace")
    return replace_file(folder / PAGE, data, WriteError)


def release_answer(records: Sequence[Record]) -> Answer:
    """Answer whether all models may ship."""
    count = len(records)
    if count == 1:
        return answer_of(records[0])
    good = sum(one.verdict == "pass" for one in records)
    worst = _worst(records)
    if worst == "pass":
        return Answer("Yes", f"Each of the {count} models passed every check that was made.")
    word = {"unproven": "Not proven", "skipped": "Not checked"}.get(worst, "No")
    sentences = [f"{good} of {count} models may ship."]
    for verdict, (one, several) in _STATES.items():
        names = [record.name for record in records if record.verdict == verdict]
        if names:
            sentences.append(f"{listed(names)} {one if len(names) == 1 else several}.")
    return Answer(word, " ".join(sentences))


def _worst(records: Sequence[Record]) -> str:
    return min((one.verdict for one in records), key=_WORST.index, default="skipped")


def _status(verdict: str) -> str:
    return "unverified" if verdict == "skipped" else verdict


def _model(record: Record, folder: Path) -> Model:
    found, made = largest(record.findings), counts(record.findings)
    value = bound = subject = ""
    if found is not None and found.threshold is not None:
        value = "infinite" if found.value is None else number(found.value)
        bound = f"at most {number(found.threshold)}"
        subject = " ".join(dict.fromkeys([found.check, found.subject])).strip()
    return Model(
        record, _status(record.verdict), answer_of(record),
        f"{made.get('pass', 0)} of {sum(made.values())}" if made else "none", value, bound,
        subject, None if found is None else track(found),
        "" if record.size is None else bytes_of(record.size), _link(record, folder),
    )  # fmt: skip


def _link(record: Record, folder: Path) -> str:
    """Return the address of the page beside the record, from the folder."""
    page = None if record.path is None else record.path.with_name(PAGE)
    if page is None or not page.is_file() or page.parent == folder.resolve():
        return ""
    try:
        return Path(os.path.relpath(page, folder.resolve())).as_posix()
    except ValueError:  # another drive of Windows
        return page.as_uri()
