"""``make fuzz-input`` gives mutated files to every reader of the project.

Counts and faults are stored in ``.fuzz-input/results.json``, the files that broke a reader in
``.fuzz-input/faults``; a second run with the same code goes on. A mended fault's file goes to
``tests/hostile/corpus/READER/``.
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
from functools import partial
from pathlib import Path
from typing import Any

import graftcam.runtime
from benchmarks.machine import digest
from benchmarks.script import ROOT, options, say, table, write_json
from hostile.trial import Found, mutant_of
from hostile.work import Answer, Asked, readers, tried
from support.child_process import in_parallel

_MOST_FAULTS = 5  # of one reader and one cause, with their files
_EVERY = 2000  # mutants between two lines of progress


def main() -> int:
    """Try what is missing and sum up; 1 if a reader broke a promise."""
    asked = options(
        __doc__,
        reader=("", "names, separated by commas; all by default"),
        count=(100_000, "mutants, shared by the readers"),
        minutes=(0.0, "begin no more mutants after this time; 0: no limit"),
        jobs=(2, "processes"),
        fresh=(False, "repeat what was tried with this code, too"),
        folder=(ROOT / ".fuzz-input", "folder for results"),
    )
    known = readers()
    names = asked.reader.split(",") if asked.reader else list(known)
    if unknown := set(names) - set(known):
        say(f"unknown readers {sorted(unknown)}; there are {', '.join(known)}")
        return 2
    book = Book(asked.folder, fresh=asked.fresh)
    total = sum(known[name].share for name in names)
    chosen = [
        (name, seed)
        for name in names
        for seed in range(book.next(name), asked.count * known[name].share // total)
    ]
    # In turns, so that a run that ends early has tried every reader.
    chosen.sort(key=lambda one: one[1] / known[one[0]].share)
    say(f"{book.count} mutants are done, {len(chosen)} to go")
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # ends the workers as well
    try:
        _run(chosen, book, asked.jobs, asked.minutes or math.inf)
    except KeyboardInterrupt:
        say("interrupted; run again to continue")
    book.save()
    say("\n".join(book.summary()))
    return 1 if book.faults else 0


class Book:
    """Counts of what the readers did, and the faults, of this and earlier runs with this code.

    Attributes:
        faults: A record for each mutant that was neither read nor refused.
    """

    def __init__(self, folder: Path, *, fresh: bool) -> None:
        self._folder, self._path = folder, folder / "results.json"
        root = Path(graftcam.runtime.__file__).parents[1]
        folders = [root / name for name in ("runtime", "exporter", "commands", "tests/hostile")]
        sources = [path for place in folders for path in place.rglob("*.py")]
        self._code = digest(sorted(sources))
        before: dict[str, Any] = {}
        if self._path.exists() and not fresh:
            before = json.loads(self._path.read_text("utf-8"))
        same = before.get("code") == self._code
        self._counts = {k: Counter(v) for k, v in before["readers"].items()} if same else {}
        self._slowest: dict[str, float] = before["slowest"] if same else {}
        self.faults: list[dict[str, Any]] = before["faults"] if same else []
        self._causes = Counter((one["reader"], one["cause"]) for one in self.faults)
        folder.mkdir(parents=True, exist_ok=True)

    @property
    def count(self) -> int:
        """How many mutants were tried."""
        return sum(counts.total() for counts in self._counts.values())

    def next(self, reader: str) -> int:
        """The first seed that was not tried."""
        return self._counts[reader].total() if reader in self._counts else 0

    def add(self, asked: Asked, found: Found) -> bool:
        """Count a mutant; whether it shows a fault that is new."""
        name, seed = asked
        self._counts.setdefault(name, Counter())[found.outcome] += 1
        self._slowest[name] = max(self._slowest.get(name, 0.0), found.seconds)
        if found.right:
            return False
        cause = f"{found.outcome}: {found.detail.partition(':')[0] or found.detail}"
        self._causes[name, cause] += 1
        new = self._causes[name, cause] <= _MOST_FAULTS
        record = {"reader": name, "seed": seed, "cause": cause, "detail": found.detail}
        if new:
            reader = readers()[name]
            file = self._folder / "faults" / f"{name.replace(' ', '_')}-{seed}{reader.suffix}"
            file.parent.mkdir(exist_ok=True)
            file.write_bytes(mutant_of(reader, seed))
            record["file"] = file.name
        self.faults.append(record)
        return new

    def save(self) -> None:
        """Write what is known."""
        write_json(self._path, {
            "code": self._code, "readers": self._counts, "slowest": self._slowest,
            "faults": self.faults,
        })  # fmt: skip

    def summary(self) -> list[str]:
        """A table of the readers, and the causes of faults."""
        outcomes = sorted({name for counts in self._counts.values() for name in counts})
        rows = [
            [name, *(f"{counts[outcome]:,}" for outcome in outcomes), f"{self._slowest[name]:.1f}"]
            for name, counts in self._counts.items()
        ]
        causes = [f"{n:6d} {name}: {cause}" for (name, cause), n in self._causes.most_common()]
        return [
            *table(["Reader", *outcomes, "Slowest, s"], rows),
            f"{self.count:,} mutants",
            *causes,
        ]


def _run(chosen: Sequence[Asked], book: Book, jobs: int, minutes: float) -> None:
    numbers, start = itertools.count(1), time.monotonic()

    def take(answer: Answer) -> None:
        (asked, found), number = answer, next(numbers)
        if book.add(asked, found):
            say(f"{asked[0]} {asked[1]}: {found.outcome}: {found.detail}")
        if number % _EVERY == 0:
            book.save()
            say(f"[{number}/{len(chosen)}, {(time.monotonic() - start) / 60:.0f} min]")

    in_parallel(chosen, jobs, partial(tried, until=start + 60 * minutes), take)


if __name__ == "__main__":
    sys.exit(main())
