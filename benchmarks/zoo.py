"""``python -m benchmarks.zoo`` compares every model of the zoo with PyTorch.

Each model runs in a process of its own, as many at a time as ``--jobs`` and the memory allow.
Results are stored in ``.zoo/results.jsonl``; the tables are written to ``docs/models.md`` and
``docs/models.json``. A second run repeats only models that failed, are new, or were checked with
other code or versions.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from .zoo_case import Record, code_digest, heading, run_case, versions
from .zoo_models import CASES, Case
from .zoo_report import write_report

_ROOT = Path(__file__).resolve().parent.parent
_TIMEOUT = 3600  # seconds for one model; the largest takes some minutes on two cores
_FINAL = ("pass", "refused", "no export")  # verdicts that need no second try


def main() -> int:
    """Run what is missing and write the tables; 1 if any model fails."""
    options = _options()
    if options.worker:
        return _work(options.worker, options.threads)
    results, docs = Path(options.folder) / "results.jsonl", Path(options.docs)
    results.parent.mkdir(parents=True, exist_ok=True)
    names = set(options.models.split(",")) if options.models else set()
    chosen = [c for c in CASES if not names or names & {c.model, c.family}]
    threads = options.threads or max(1, (os.cpu_count() or 1) // options.jobs)
    done = {} if options.fresh else _finished(_read(results, docs), any_code=options.keep)
    missing = [case for case in chosen if case.key not in done]
    _say(f"{len(chosen) - len(missing)} models are done, {len(missing)} to go")
    try:
        _run(missing, results, options.jobs, threads)
    except KeyboardInterrupt:
        _say("interrupted; run again to continue")
    latest = {record["key"]: record for record in _read(results, docs)}
    records = [latest[case.key] for case in CASES if case.key in latest]
    write_report(records, docs, Counter(case.family for case in CASES))
    keys = {case.key for case in chosen}
    passed = [key for key in keys if latest.get(key, {}).get("verdict") == "pass"]
    failed = [key for key in keys if latest.get(key, {}).get("verdict", "fail") == "fail"]
    _say(f"{len(passed)} of {len(keys)} models pass, {len(failed)} fail; see {docs}/models.md")
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument(
        "--models", help="names or families (torchvision, segmentation, timm), separated by commas"
    )
    parser.add_argument("--jobs", type=int, default=2, help="models at a time, memory permitting")
    parser.add_argument("--threads", type=int, default=0, help="threads of each; cores / jobs")
    parser.add_argument("--fresh", action="store_true", help="repeat what has passed, too")
    parser.add_argument("--keep", action="store_true", help="keep what earlier code passed")
    parser.add_argument("--folder", default=str(_ROOT / ".zoo"), help="folder for results")
    parser.add_argument("--docs", default=str(_ROOT / "docs"), help="where the tables go")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _read(results: Path, docs: Path) -> list[Record]:
    """All records, the latest last: the tables' own, then those of this folder's runs.

    A line that was cut off is skipped.
    """
    table = docs / "models.json"
    records: list[Record] = json.loads(table.read_text()) if table.exists() else []
    for line in results.read_text().splitlines() if results.exists() else []:
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def _finished(records: Iterable[Record], *, any_code: bool) -> dict[str, Record]:
    """Records with a final verdict, the same versions and the same code (or any)."""
    now, code = versions(), code_digest()
    latest = {record["key"]: record for record in records}
    return {
        key: record
        for key, record in latest.items()
        if record["verdict"] in _FINAL
        and record["versions"] == now
        and (any_code or record["code"] == code)
    }


class _Memory:
    """Lets as many models run at a time as the machine's memory holds; a larger one runs alone."""

    def __init__(self) -> None:
        pages = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        self.free = self.total = 0.9 * pages / 2**30
        self.changed = threading.Condition()

    def take(self, gigabytes: float) -> float:
        """Wait for that much memory, or for all of it."""
        amount = min(gigabytes, self.total)
        with self.changed:
            self.changed.wait_for(lambda: self.free >= amount)
            self.free -= amount
        return amount

    def give(self, gigabytes: float) -> None:
        """Hand memory back."""
        with self.changed:
            self.free += gigabytes
            self.changed.notify_all()


def _run(cases: list[Case], results: Path, jobs: int, threads: int) -> None:
    start, memory = time.perf_counter(), _Memory()
    # Models that need the whole machine come last: while they wait they occupy a job.
    cases = sorted(cases, key=lambda case: case.gigabytes > memory.total / jobs)
    with ThreadPoolExecutor(jobs) as pool:
        pending = [pool.submit(_spawn, case, threads, memory) for case in cases]
        try:
            for count, future in enumerate(as_completed(pending), 1):
                record = future.result()
                with results.open("a") as file:
                    file.write(json.dumps(record) + "\n")
                spent = time.perf_counter() - start
                left = spent / count * (len(cases) - count)
                clock = f"{spent / 60:.0f} min, about {left / 60:.0f} min to go"
                _say(f"[{count}/{len(cases)}, {clock}] {_line(record)}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _line(record: Record) -> str:
    text = f"{record['key']}: {record['verdict']} ({record.get('seconds', 0):.0f} s)"
    for name in ("twin", "itself"):
        if name in record:
            text += f"; {name} {record[name]['error']:.0e} (PyTorch {record[name]['own']:.0e})"
    return "\n    ".join([text, *record["faults"]])


def _spawn(case: Case, threads: int, memory: _Memory) -> Record:
    """Run one case in a process of its own: its memory is freed, and a crash stays there."""
    command = [sys.executable, "-m", "benchmarks.zoo", "--worker", case.key]
    taken = memory.take(case.gigabytes)
    try:
        done = subprocess.run(
            [*command, "--threads", str(threads)],
            capture_output=True, text=True, timeout=_TIMEOUT, check=False, cwd=_ROOT,
        )  # fmt: skip
        output, reason = done.stdout, f"exit code {done.returncode}: {_last(done.stderr)}"
    except subprocess.TimeoutExpired:
        output, reason = "", f"not done after {_TIMEOUT} s"
    finally:
        memory.give(taken)
    for line in output.splitlines():
        if line.startswith('{"key"'):
            return json.loads(line)
    return {
        "key": case.key, **heading(case), "faults": [reason], "verdict": "fail",
        "versions": versions(), "code": code_digest(),
    }  # fmt: skip


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def _work(name: str, threads: int) -> int:
    """Run one case in this process and print its record as a line of JSON."""
    import torch

    torch.set_num_threads(max(1, threads))
    case = next(case for case in CASES if case.key == name)
    print(json.dumps(run_case(case, max(1, threads))), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
