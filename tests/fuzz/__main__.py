"""``make fuzz`` exports random models and judges their gradients independently.

Records are stored in ``.fuzz/results.jsonl``, faults with their smallest model in ``.fuzz/faults``.
A second run tries only what is missing or was tried with other code.
"""

from __future__ import annotations

import itertools
import json
import math
import signal
import sys
import time
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from functools import partial
from importlib import metadata
from pathlib import Path

import graftcam.exporter
from benchmarks.machine import digest
from benchmarks.script import ROOT, options, say
from support.child_process import in_parallel

from .trial import FAULTS, OUTCOMES, Result
from .work import KINDS, ModelKind, Record, tried

Key = tuple[ModelKind, int]
# Results depend on the versions of these packages.
VERSIONED = ("torch", "onnx", "onnx-ir", "onnxscript", "onnxruntime")


def main() -> int:
    """Try what is missing and sum up; 1 if there are faults."""
    asked = options(
        __doc__,
        kind=("", "onnx or torch; both by default"),
        count=(2000, "models of each kind"),
        seed=(0, "the first model's seed; the others follow"),
        minutes=(0.0, "start no more models after this time; 0: no limit"),
        jobs=(2, "models at a time"),
        fresh=(False, "repeat what was tried with this code, too"),
        keep=(False, "keep what earlier code did"),
        folder=(ROOT / ".fuzz", "folder for results"),
    )
    if asked.kind not in ("", *KINDS):
        sys.exit(f"--kind {asked.kind}: there is {' and '.join(KINDS)}")
    kinds = [kind for kind in KINDS if asked.kind in ("", kind)]
    seeds = range(asked.seed, asked.seed + asked.count)
    chosen: list[Key] = [(kind, seed) for seed in seeds for kind in kinds]
    asked.folder.mkdir(parents=True, exist_ok=True)
    book = Book(asked.folder, code())
    done = set() if asked.fresh else book.done(any_code=asked.keep)
    missing = [key for key in chosen if key not in done]
    say(f"{len(chosen) - len(missing)} models are done, {len(missing)} to go")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the workers as well
    try:
        _run(missing, book, asked.jobs, asked.minutes or math.inf)
    except KeyboardInterrupt:
        say("interrupted; run again to continue")
    records = [book.latest[key] for key in chosen if key in book.latest]
    for kind in kinds:
        some = [record for record in records if record["kind"] == kind]
        say("\n".join([summary(kind, some), *reasons(some)]))
    return 1 if any(record["outcome"] in FAULTS for record in records) else 0


def code() -> str:
    """Hash of the code under test, of the fuzzer, and of the versions that results depend on."""
    here = Path(__file__).parent
    paths = [Path(graftcam.exporter.__file__).parent, here, here.parent / "support" / "operators"]
    found = digest(sorted(path for folder in paths for path in folder.rglob("*.py")))
    return " ".join([found, *(metadata.version(name) for name in VERSIONED)])


def summary(kind: str, records: Sequence[Record]) -> str:
    """One line: how many models came to what."""
    counts = Counter(record["outcome"] for record in records)
    parts = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES if counts[outcome])
    return f"{kind}: {len(records)} models: {parts or 'none'}"


def reasons(records: Sequence[Record], most: int = 12) -> list[str]:
    """The commonest reasons of what is neither right nor a fault, for a person to judge."""
    told = Counter(
        Result(record["outcome"], record["detail"]).cause
        for record in records
        if record["outcome"] not in ("right", *FAULTS)
    )
    return [f"  {count:5d} {reason}" for reason, count in told.most_common(most)]


class Book:
    """The records of this and earlier runs.

    Attributes:
        latest: By kind and seed.
    """

    def __init__(self, folder: Path, code: str) -> None:
        self._folder, self._code = folder, code
        self.latest: dict[Key, Record] = {}
        path = folder / "results.jsonl"
        for line in path.read_text().splitlines() if path.exists() else []:
            with suppress(ValueError):  # cut off
                record = json.loads(line)
                self.latest[record["kind"], record["seed"]] = record

    def done(self, *, any_code: bool) -> set[Key]:
        """What this code has tried, or any."""
        return {k for k, one in self.latest.items() if any_code or one["code"] == self._code}

    def add(self, record: Record) -> None:
        """Store a record, and a fault's model beside it."""
        record = record | {"code": self._code}
        text = record.pop("text", None)
        if text is not None:
            path = self._folder / "faults" / f"{record['kind']}-{record['seed']}{record['suffix']}"
            path.parent.mkdir(exist_ok=True)
            mark = "#" if record["suffix"] == ".py" else "//"
            path.write_text(f"{mark} {record['outcome']}: {record['detail']}\n{text}\n", "utf-8")
            record["file"] = path.name
        self.latest[record["kind"], record["seed"]] = record
        with (self._folder / "results.jsonl").open("a") as file:
            file.write(json.dumps(record) + "\n")


def _run(missing: Sequence[Key], book: Book, jobs: int, minutes: float) -> None:
    numbers, start = itertools.count(1), time.monotonic()

    def take(record: Record) -> None:
        book.add(record)
        number, spent = next(numbers), (time.monotonic() - start) / 60
        left = min(spent / number * (len(missing) - number), minutes - spent)
        if record["outcome"] in FAULTS or number % 50 == 0:
            clock = f"{spent:.0f} min, about {max(left, 0.0):.0f} min to go"
            name = f"{record['kind']} {record['seed']}"
            what = f"{record['outcome']} ({record['detail']})"
            say(f"[{number}/{len(missing)}, {clock}] {name}: {what}")

    in_parallel(missing, jobs, partial(tried, until=start + 60 * minutes), take)


if __name__ == "__main__":
    sys.exit(main())
