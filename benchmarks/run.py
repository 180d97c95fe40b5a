"""``python -m benchmarks.run`` measures every figure of ``docs/benchmarks.md``.

Variants run in turns, in random order in each round, with the same number of threads; ONNX
Runtime's idle threads do not spin. Each row is written to ``docs/benchmarks.json`` as soon as it is
measured, and rows that were measured with this code are skipped: a bench can be interrupted and
resumed. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import shutil
import sys
import time
from itertools import chain
from pathlib import Path

import torch

from .bench_report import write_report
from .book import Book, Case, MixError, read
from .machine import Watch, code_digest, describe
from .parts import PARTS, Bench
from .subjects import Subjects

_ROOT = Path(__file__).resolve().parent.parent
_WORK = _ROOT / ".bench"


def main() -> int:
    """Measure missing rows and write the page; return 2 if results must not be mixed."""
    options = _options()
    torch.set_num_threads(options.threads)
    docs = Path(options.docs)
    cases = _chosen(options.parts, options.models)
    whole = not options.parts and not options.models
    load = round(os.getloadavg()[0], 2)
    code = code_digest()
    book = Book(docs / "benchmarks.json", describe(options.threads), code, load, options.quick)
    before = _baseline(book, Path(options.compare) if options.compare else None)
    try:
        _say(book.open(fresh=options.fresh, whole=whole))
    except MixError as error:
        _say(str(error))
        return 2
    missing = [case for case in cases if options.again or not book.current(case.key)]
    _say(f"{len(cases) - len(missing)} rows are done, {len(missing)} to go; load {load}")
    try:
        _measure(missing, book, options)
    except KeyboardInterrupt:
        _say("interrupted; run again to continue")
    finally:
        write_report(book, read(before), docs)
        _say(f"written: {docs / 'benchmarks.md'}")
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--parts", help=f"of {', '.join(PARTS)}, separated by commas; else all")
    parser.add_argument("--models", help="names, separated by commas; all by default")
    parser.add_argument("--quick", action="store_true", help="few rounds, to see that it works")
    parser.add_argument("--again", action="store_true", help="measure rows that are done, too")
    parser.add_argument("--fresh", action="store_true", help="ignore all earlier rows")
    parser.add_argument("--compare", help="earlier benchmarks.json; default: the one in docs")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--docs", default=str(_ROOT / "docs"), help="folder for the page")
    parser.add_argument(
        "--keep", action="store_true", help="do not delete the models' files in .bench"
    )
    options = parser.parse_args()
    unknown = set(filter(None, (options.parts or "").split(","))) - set(PARTS)
    if unknown:
        parser.error(f"unknown parts {sorted(unknown)}; there are {', '.join(PARTS)}")
    return options


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _chosen(parts: str | None, models: str | None) -> list[Case]:
    """Return the requested rows, sorted by model, since rows of a model share its files."""
    names = parts.split(",") if parts else list(PARTS)
    cases = [case for name in names for case in PARTS[name].cases]
    order = list(dict.fromkeys(case.model for case in chain(*(p.cases for p in PARTS.values()))))
    wanted = models.split(",") if models else order
    return sorted(
        (case for case in cases if case.model in wanted), key=lambda case: order.index(case.model)
    )


def _baseline(book: Book, asked: Path | None) -> Path:
    """Return the results to compare with: those in docs before this code was measured."""
    if asked is not None:
        return asked
    published, kept = _ROOT / "docs" / "benchmarks.json", _WORK / "before.json"
    earlier = read(published)
    if earlier and all(row["code"] != book.code for row in earlier["rows"]):
        kept.parent.mkdir(exist_ok=True)
        shutil.copy(published, kept)
    return kept


def _measure(cases: list[Case], book: Book, options: argparse.Namespace) -> None:
    bench = Bench(Subjects(_WORK / book.code, options.threads), options.threads, options.quick)
    start = time.perf_counter()
    for count, case in enumerate(cases, 1):
        with Watch() as watch:
            row = PARTS[case.part].measure(case, bench)
        book.add(case.key, row, watch.others)
        medians = {name: ratio[1] for name, ratio in row["ratios"].items()}
        spent = (time.perf_counter() - start) / 60
        _say(f"[{count}/{len(cases)}, {spent:.0f} min] {case.key}: {medians}")
        if count == len(cases) or cases[count].model != case.model:
            bench.subjects.drop(case.model, keep_files=options.keep)
    if not options.keep:
        shutil.rmtree(_WORK / book.code, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
