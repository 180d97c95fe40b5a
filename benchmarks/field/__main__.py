"""``python -m benchmarks.field`` tries real files and models as a new user would.

Packages are downloaded once, by name and version, into ``--cache``. Each attempt runs in a process
of its own, one at a time. Results are stored in ``.field/results.jsonl`` and in
``docs/field.json``, the page is ``docs/field.md``. A second run repeats only what is new or was
tried with other code or versions (after a change of a subject's input or module, name it with
``--models KEY --fresh``); ``--judge`` tries nothing and writes the page again.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import graftcam

from ..latest import latest_records
from ..machine import digest
from ..script import DOCS, ROOT, options, say
from . import inputs
from .attempt import attempt, versions
from .judge import GOOD, judge
from .packages import CACHE
from .report import write_report
from .subject import Subject
from .table import GROUPS, SUBJECTS

Row = dict[str, Any]
_MEASURING = ("attempt.py", "proof.py", "inputs.py")  # a truth that changes needs no new attempt


def main() -> int:
    """Try what is missing and write the page; 1 if one misleads or ends in an error."""
    asked = options(
        __doc__,
        models=("", "keys of the table, separated by commas"),
        cache=(CACHE, "folder of the downloaded packages"),
        seconds=(180, "time limit of an attempt"),
        fresh=(False, "try everything again"),
        keep=(False, "keep what earlier code did"),
        judge=(False, "only write the page from the stored attempts"),
        folder=(ROOT / ".field", "folder for results"),
        docs=(DOCS, "where the page goes"),
    )
    inputs.use(asked.cache)
    asked.folder.mkdir(parents=True, exist_ok=True)
    results = asked.folder / "results.jsonl"
    # A key may have a comma followed by a blank.
    names = set(re.split(r",(?! )", asked.models)) if asked.models else set()
    chosen = [subject for subject in SUBJECTS if not names or subject.key in names]
    rows = latest_records(results, asked.docs / "field.json")
    code = code_digest()
    missing = [s for s in chosen if asked.fresh or not _current(rows.get(s.key), code, asked.keep)]
    try:
        _try([] if asked.judge else missing, results, asked.cache, asked.seconds, code)
    except KeyboardInterrupt:
        say("interrupted; run again to continue")
    rows = latest_records(results, asked.docs / "field.json")
    rows = {subject.key: rows[subject.key] for subject in SUBJECTS if subject.key in rows}
    write_report(rows, GROUPS, asked.docs)
    lines = ",\n".join(_without_places(json.dumps(row)) for row in rows.values())
    (asked.docs / "field.json").write_text(f"[\n{lines}\n]\n", "utf-8")
    found = [judge(rows[s.key], s).outcome for s in chosen if s.key in rows]
    counts = Counter(found)
    good = sum(counts[outcome] for outcome in GOOD)
    say(f"{good} of {len(chosen)} are right or refused for the true reason; see {asked.docs}")
    return 1 if counts["misleading"] or counts["error"] or len(found) < len(chosen) else 0


def code_digest() -> str:
    """Hash of the code that an attempt runs, so that results do not outlive it."""
    package = Path(str(graftcam.__file__)).parent
    paths = [path for room in ("exporter", "runtime", "commands")
             for path in sorted((package / room).rglob("*.py"))]  # fmt: skip
    return digest([*paths, *(Path(__file__).with_name(name) for name in _MEASURING)])


def _without_places(text: str) -> str:
    """Tracebacks name files of this machine; where they lie concerns nobody."""
    for place in (sys.prefix, str(ROOT), str(ROOT.parent), str(Path.home())):
        text = text.replace(f"{place}/", "")
    return text


def _current(row: Mapping[str, Any] | None, code: str, any_code: bool) -> bool:
    return row is not None and (any_code or (row["code"] == code and row["versions"] == versions()))


def _try(missing: list[Subject], results: Path, cache: Path, seconds: float, code: str) -> None:
    start = time.perf_counter()
    for count, subject in enumerate(missing, 1):
        try:
            tried = attempt(subject, cache, seconds)
        except RuntimeError as error:
            say(f"[{count}/{len(missing)}] {subject.key}: {error}")
            continue
        row = {
            "key": subject.key, **tried, "licence": subject.package.licence(cache),
            "versions": versions(), "code": code,
        }  # fmt: skip
        with results.open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
        verdict, spent = judge(row, subject), time.perf_counter() - start
        say(
            f"[{count}/{len(missing)}, {spent / 60:.0f} min] {subject.key}: {verdict.outcome} "
            f"({row['seconds']:.0f} s) {'; '.join(verdict.remarks)[:200]}"
        )


if __name__ == "__main__":
    sys.exit(main())
