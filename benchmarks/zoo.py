"""``python -m benchmarks.zoo`` compares every model of the zoo with PyTorch.

Each model runs in a process of its own, as many at a time as ``--jobs`` and the memory allow.
Results are stored in ``.zoo/results.jsonl``; the tables are written to ``docs/models.md`` and
``docs/models.json``. A second run repeats only models that failed, are new, or were checked with
other code or versions.
"""

from __future__ import annotations

import json
import os
import sys
import time
from argparse import SUPPRESS
from collections import Counter
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from .latest import latest_records
from .script import DOCS, ROOT, options, say
from .zoo_case import code_digest, run_case
from .zoo_models import CASES, Case
from .zoo_process import spawn, work
from .zoo_record import Record, versions
from .zoo_report import write_report

_TIMEOUT = 3600  # seconds for one model; the largest takes some minutes on two cores
_FINAL = ("pass", "refused", "no export")  # verdicts that need no second try
_FAILED: Record = {"verdict": "fail"}


def main() -> int:
    """Run what is missing and write the tables; 1 if any model fails."""
    asked = options(
        __doc__,
        models=(
            "",
            "names or families (torchvision, segmentation, timm, transformers), with commas",
        ),
        jobs=(2, "models at a time, memory permitting"),
        threads=(0, "threads of each; cores / jobs"),
        fresh=(False, "repeat what has passed, too"),
        keep=(False, "keep what earlier code passed"),
        folder=(ROOT / ".zoo", "folder for results"),
        docs=(DOCS, "where the tables go"),
        worker=("", SUPPRESS),
    )
    threads = asked.threads or max(1, (os.cpu_count() or 1) // asked.jobs)
    if asked.worker:
        return work(asked.worker, CASES, run_case, threads)
    results, docs = asked.folder / "results.jsonl", asked.docs
    asked.folder.mkdir(parents=True, exist_ok=True)
    names = set(asked.models.split(",")) if asked.models else set()
    chosen = [c for c in CASES if not names or names & {c.model, c.family}]
    done = (
        set()
        if asked.fresh
        else _finished(latest_records(results, docs / "models.json"), any_code=asked.keep)
    )
    missing = [case for case in chosen if case.key not in done]
    say(f"{len(chosen) - len(missing)} models are done, {len(missing)} to go")
    try:
        _run(missing, results, asked.jobs, threads)
    except KeyboardInterrupt:
        say("interrupted; run again to continue")
    latest = latest_records(results, docs / "models.json")
    records = [latest[case.key] for case in CASES if case.key in latest]
    write_report(records, docs, Counter(case.family for case in CASES))
    verdicts = Counter(latest.get(case.key, {}).get("verdict", "fail") for case in chosen)
    say(
        f"{verdicts['pass']} of {len(chosen)} models pass, {verdicts['fail']} fail; see "
        f"{docs}/models.md"
    )
    return 1 if verdicts["fail"] else 0


def _finished(latest: Mapping[str, Record], *, any_code: bool) -> set[str]:
    """Models with a final verdict, the same versions and the same code (or any)."""
    code = code_digest()
    return {
        key
        for key, record in latest.items()
        if record["verdict"] in _FINAL
        and record["versions"] == versions(record["family"])
        and (any_code or record["code"] == code)
    }


def _run(cases: list[Case], results: Path, jobs: int, threads: int) -> None:
    start, count, code = time.perf_counter(), 0, code_digest()
    share = 0.9 * os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30 / jobs
    # Models that need more than a job's share of the memory run alone, after the others.
    for alone in (False, True):
        with ThreadPoolExecutor(1 if alone else jobs) as pool:
            some = [case for case in cases if (case.gigabytes > share) is alone]
            pending = [
                pool.submit(spawn, "benchmarks.zoo", case, threads, _TIMEOUT, code) for case in some
            ]
            try:
                for future in as_completed(pending):
                    record, count = future.result(), count + 1
                    with results.open("a") as file:
                        file.write(json.dumps(record) + "\n")
                    spent = time.perf_counter() - start
                    left = spent / count * (len(cases) - count)
                    clock = f"{spent / 60:.0f} min, about {left / 60:.0f} min to go"
                    say(f"[{count}/{len(cases)}, {clock}] {_line(record)}")
            except BaseException:
                pool.shutdown(wait=False, cancel_futures=True)
                raise


def _line(record: Record) -> str:
    text = f"{record['key']}: {record['verdict']} ({record.get('seconds', 0):.0f} s)"
    for name in ("twin", "itself"):
        if name in record:
            text += f"; {name} {record[name]['error']:.0e} (PyTorch {record[name]['own']:.0e})"
    return "\n    ".join([text, *record["faults"]])


if __name__ == "__main__":
    sys.exit(main())
