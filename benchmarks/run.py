"""``python -m benchmarks.run`` measures every figure of ``docs/benchmarks.md``.

Variants run in turns, in random order in each round, with the same number of threads; ONNX
Runtime's idle threads do not spin. Each row is written to ``docs/benchmarks.json`` as soon as it is
measured, and rows that were measured with this code are skipped: a bench can be interrupted and
resumed. Run it on a quiet machine: a row that other processes disturbed is measured again.
"""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import torch

from .bench_report import write_report
from .book import QUIET, Book, MixError, Row, read
from .machine import Watch, code_digest, describe
from .parts import CASES
from .parts.part import Case
from .script import DOCS, ROOT, options, say
from .subjects import Subjects

_WORK = ROOT / ".bench"
_TRIES = 3
_PARTS = list(dict.fromkeys(case.part for case in CASES))
_MODELS = list(dict.fromkeys(case.model for case in CASES))


def main() -> int:
    """Measure missing rows and write the page; return 2 if results must not be mixed."""
    asked = options(
        __doc__,
        parts=("", f"of {', '.join(_PARTS)}, separated by commas; else all"),
        models=("", "names, separated by commas; all by default"),
        quick=(False, "few rounds, to see that it works"),
        again=(False, "measure rows that are done, too"),
        fresh=(False, "ignore all earlier rows"),
        compare=("", "earlier benchmarks.json; default: the one in docs"),
        threads=(os.cpu_count() or 1, "of each way of running a model"),
        docs=(DOCS, "folder for the page"),
        keep=(False, "do not delete the models' files in .bench"),
    )
    parts = asked.parts.split(",") if asked.parts else _PARTS
    if unknown := set(parts) - set(_PARTS):
        say(f"unknown parts {sorted(unknown)}; there are {', '.join(_PARTS)}")
        return 2
    models = asked.models.split(",") if asked.models else _MODELS
    if unknown := set(models) - set(_MODELS):
        say(f"unknown models {sorted(unknown)}; there are {', '.join(filter(None, _MODELS))}")
        return 2
    torch.set_num_threads(asked.threads)
    cases = [case for case in CASES if case.part in parts and case.model in models]
    load = round(os.getloadavg()[0], 2)
    path = asked.docs / "benchmarks.json"
    book = Book(path, describe(asked.threads), code_digest(), load, asked.quick)
    before = Path(asked.compare) if asked.compare else _published(book)
    try:
        say(book.open(fresh=asked.fresh, whole=not asked.parts and not asked.models))
    except MixError as error:
        say(str(error))
        return 2
    missing = [case for case in cases if asked.again or not book.current(case.key)]
    say(f"{len(cases) - len(missing)} rows are done, {len(missing)} to go; load {load}")
    try:
        _measure(missing, book, asked.threads, keep=asked.keep)
    except KeyboardInterrupt:
        say("interrupted; run again to continue")
    finally:
        write_report(book, read(before), asked.docs)
        say(f"written: {asked.docs / 'benchmarks.md'}")
    return 0


def _published(book: Book) -> Path:
    """Return the results to compare with: those in docs before this code was measured."""
    published, kept = DOCS / "benchmarks.json", _WORK / "before.json"
    earlier = read(published)
    if earlier and all(row["code"] != book.code for row in earlier["rows"]):
        _WORK.mkdir(exist_ok=True)
        shutil.copy(published, kept)
    return kept


def _measure(cases: Sequence[Case], book: Book, threads: int, *, keep: bool) -> None:
    subjects, start = Subjects(_WORK / book.code, threads), time.perf_counter()
    # Rows of a model share its files.
    cases = sorted(cases, key=lambda case: _MODELS.index(case.model))
    for count, case in enumerate(cases, 1):
        rounds = 1 + case.rounds // 10 if book.quick else case.rounds
        row = _quietest(replace(case, rounds=rounds), subjects, book)
        medians = {name: ratio[1] for name, ratio in row["ratios"].items()}
        spent = (time.perf_counter() - start) / 60
        say(f"[{count}/{len(cases)}, {spent:.0f} min] {case.key}: {medians}")
        if not keep and (count == len(cases) or cases[count].model != case.model):
            subjects.drop(case.model)
    if not keep:
        shutil.rmtree(_WORK / book.code, ignore_errors=True)


def _quietest(case: Case, subjects: Subjects, book: Book) -> Row:
    """Measure a row and store it; again, if other processes disturbed it, and keep the quieter."""
    found: Row = {}
    least = float("inf")
    for _ in range(1 if book.quick else _TRIES):
        watch = Watch()
        row = case.row(subjects)
        if (others := watch.others()) < least:
            found, least = row, others
            book.add(case.key, row, others)
        if others <= QUIET:
            break
    return found


if __name__ == "__main__":
    sys.exit(main())
