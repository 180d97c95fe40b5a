"""Hold every model of the zoo against PyTorch: ``python -m benchmarks.zoo``.

Each model runs in a process of its own, results are kept in ``.zoo/results.jsonl``, and a second
run repeats only what failed, is new, or was made by other code or other versions. The tables go
to ``docs/models.md`` and ``docs/models.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

from .zoo_case import Record, code_digest, key_of, run_case, versions
from .zoo_models import CASES, Case
from .zoo_report import write_report

_ROOT = Path(__file__).resolve().parent.parent
_TIMEOUT = 3600  # seconds for one model; the largest takes a few minutes on two cores


def main() -> int:
    """Run what is missing and write the tables; 1 if any model fails."""
    options = _options()
    if options.worker:
        return _work(options.worker, options.threads)
    results = Path(options.folder) / "results.jsonl"
    results.parent.mkdir(parents=True, exist_ok=True)
    chosen = [c for c in CASES if not options.models or c.model in options.models.split(",")]
    threads = options.threads or max(1, (os.cpu_count() or 1) // options.jobs)
    done = {} if options.fresh else _passed(_read(results), any_code=options.keep)
    missing = [case for case in chosen if not all(key in done for key in _keys(case))]
    _say(f"{len(chosen) - len(missing)} models are done, {len(missing)} to go")
    try:
        _run(missing, results, options.jobs, threads)
    except KeyboardInterrupt:
        _say("interrupted; run again to go on")
    latest = {record["key"]: record for record in _read(results)}
    wanted = [key for case in CASES for key in _keys(case)]
    records = [latest[key] for key in wanted if key in latest]
    write_report(records, Path(options.docs))
    asked = {key for case in chosen for key in _keys(case)}
    failed = [key for key in asked if latest.get(key, {}).get("verdict") != "pass"]
    _say(
        f"{len(asked) - len(failed)} of {len(asked)} layer sets pass; see {options.docs}/models.md"
    )
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--models", help="names, separated by commas; all by default")
    parser.add_argument(
        "--jobs", type=int, default=1, help="models at a time; each takes up to 8 GB"
    )
    parser.add_argument("--threads", type=int, default=0, help="threads of each; cores / jobs")
    parser.add_argument("--fresh", action="store_true", help="repeat what has passed, too")
    parser.add_argument("--keep", action="store_true", help="keep what earlier code passed")
    parser.add_argument("--folder", default=str(_ROOT / ".zoo"), help="where results are kept")
    parser.add_argument("--docs", default=str(_ROOT / "docs"), help="where the tables go")
    parser.add_argument("--worker", help=argparse.SUPPRESS)
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def _keys(case: Case) -> list[str]:
    return [key_of(case, None), key_of(case, case.layers)]


def _read(results: Path) -> list[Record]:
    """All records, the latest last; a line that was cut off is skipped."""
    records: list[Record] = []
    for line in results.read_text().splitlines() if results.exists() else []:
        try:
            records.append(json.loads(line))
        except ValueError:
            continue
    return records


def _passed(records: Iterable[Record], *, any_code: bool) -> dict[str, Record]:
    """Records that still hold: passed, with the same versions and the same code (or any)."""
    now, code = versions(), code_digest()
    latest = {record["key"]: record for record in records}
    return {
        key: record
        for key, record in latest.items()
        if record["verdict"] == "pass"
        and record["versions"] == now
        and (any_code or record["code"] == code)
    }


def _run(cases: list[Case], results: Path, jobs: int, threads: int) -> None:
    start = time.perf_counter()
    with ThreadPoolExecutor(jobs) as pool:
        pending = {pool.submit(_spawn, case, threads): case for case in cases}
        try:
            for count, future in enumerate(as_completed(pending), 1):
                for record in future.result():
                    with results.open("a") as file:
                        file.write(json.dumps(record) + "\n")
                    seconds = time.perf_counter() - start
                    _say(f"[{count}/{len(cases)}, {seconds:.0f} s] {_line(record)}")
        except BaseException:
            pool.shutdown(wait=False, cancel_futures=True)
            raise


def _line(record: Record) -> str:
    text = f"{record['key']}: {record['verdict']} ({record.get('seconds', 0):.0f} s)"
    if "twin" in record:
        twin, itself = record["twin"], record["itself"]
        text += f"; twin {twin['error']:.0e} (PyTorch {twin['own']:.0e})"
        text += f", itself {itself['error']:.0e} (PyTorch {itself['own']:.0e})"
    return "\n    ".join([text, *record["faults"]])


def _spawn(case: Case, threads: int) -> list[Record]:
    """Run one case in a process of its own: memory is given back, a crash stays there."""
    command = [sys.executable, "-m", "benchmarks.zoo", "--worker", case.name]
    try:
        done = subprocess.run(
            [*command, "--threads", str(threads)],
            capture_output=True, text=True, timeout=_TIMEOUT, check=False, cwd=_ROOT,
        )  # fmt: skip
        output, reason = done.stdout, f"exit code {done.returncode}: {_last(done.stderr)}"
    except subprocess.TimeoutExpired:
        output, reason = "", f"not done after {_TIMEOUT} s"
    records = [json.loads(line) for line in output.splitlines() if line.startswith('{"key"')]
    found = {record["key"] for record in records}
    lost: Record = {
        "model": case.model, "size": list(case.size), "verdict": "fail", "faults": [reason],
        "versions": versions(), "code": code_digest(),
    }  # fmt: skip
    for layers in (None, case.layers):
        if key_of(case, layers) not in found:
            also = {"layers": list(layers or []), "automatic": layers is None}
            records.append({"key": key_of(case, layers)} | lost | also)
    return records


def _last(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else "no message"


def _work(name: str, threads: int) -> int:
    """The process for one case: its records as lines of JSON."""
    import torch

    torch.set_num_threads(max(1, threads))
    case = next(case for case in CASES if case.name == name)
    for record in run_case(case, max(1, threads)):
        print(json.dumps(record), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
