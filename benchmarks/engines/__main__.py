"""``make engines``: which engines explain right, and at what cost.

Artifacts of many families run on every engine that this machine has, each in a process of its own,
with a time limit: that an engine crashes or reads no file is a row of the table. Rows go to
``docs/engines.json`` as soon as they are measured, and are skipped when they are there: the run can
be interrupted. Then the tables of ``docs/engines.md`` are written. Times count on a quiet machine
only.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from graftcam.runtime.errors import GraftcamError

from ..book import Book, MixError, Row
from ..machine import Watch, code_digest, describe
from ..script import DOCS, ROOT, options, say
from ..subjects import Subjects
from ..timing import Spread, ratio, spreads
from .engines import ENGINES, Engine
from .job import Outcome, first_words, run, write
from .page import write_page
from .subjects import CASES, Case, files_of, job_of, reference, roles
from .verdict import judge

_PACKAGES = ("onnxruntime", "torch", "onnx", "numpy")


def main() -> int:
    """Measure missing rows and write the page; return 2 for unusable options."""
    asked = options(
        __doc__,
        engines=("", f"of {', '.join(e.name for e in ENGINES)}, separated by commas; else all"),
        models=("", "of the page, separated by commas; else all"),
        rounds=(15, "of each row, at most"),
        seconds=(8.0, "for the rounds of each row, of which there are three at least"),
        limit=(600.0, "seconds for one engine and layer"),
        quick=(False, "few rounds, to see that it works"),
        again=(False, "measure rows that are done, too"),
        keep=(False, "keep rows that earlier code made"),
        fresh=(False, "ignore all earlier rows"),
        threads=(1, "of each engine"),
        docs=(DOCS, "folder for the page"),
        work=(ROOT / ".bench" / "engines", "folder for the models' files"),
        xai=(Path(), "Python with openvino_xai, whose maps are timed beside; default: none"),
    )
    names = asked.engines.split(",") if asked.engines else [one.name for one in ENGINES]
    models = asked.models.split(",") if asked.models else [one.model for one in CASES]
    unknown = {*names} - {e.name for e in ENGINES} | {*models} - {c.model for c in CASES}
    if unknown:
        say(f"unknown: {', '.join(sorted(unknown))}; there is {', '.join(c.model for c in CASES)}")
        return 2
    engines = [one for one in ENGINES if one.name in names]
    cases = [one for one in CASES if one.model in models]
    setting = describe(asked.threads, _PACKAGES)
    book = Book(asked.docs / "engines.json", setting, code_digest(), 0, asked.quick)
    try:
        say(book.open(fresh=asked.fresh, whole=not asked.engines and not asked.models))
    except MixError as error:
        say(str(error))
        return 2
    torch.set_num_threads(asked.threads)  # exports; more would take the engines' cores
    bench = Bench(
        Subjects(asked.work / book.code, asked.threads), 3 if asked.quick else asked.rounds,
        asked.seconds, asked.limit, asked.xai,
    )  # fmt: skip
    try:
        for case in cases:
            for engine in engines:
                if asked.again or not done(book, engine, case, keep=asked.keep):
                    _add(book, engine, case, bench)
    except KeyboardInterrupt:
        say("interrupted; run again to continue")
    finally:
        write_page(book, asked.docs / "engines.md")
        say(f"written: {asked.docs / 'engines.md'}")
    return 0


def key_of(engine: Engine, case: Case) -> str:
    """Stable name of a row."""
    return f"{engine.name}/{case.key}"


def done(book: Book, engine: Engine, case: Case, *, keep: bool = False) -> bool:
    """Whether there is a row of this code (or any), and of the engine's present version."""
    key = key_of(engine, case)
    known = key in book.rows if keep else book.current(key)
    return known and book.rows[key]["version"] == engine.version()


@dataclass(frozen=True)
class Bench:
    """How rows are measured.

    Attributes:
        subjects: Makes the files.
        rounds: How often each file is timed, at most.
        seconds: Time that the rounds should take.
        limit: Seconds after which an engine is ended.
        xai: Python with openvino_xai, if it is a file.
    """

    subjects: Subjects
    rounds: int
    seconds: float
    limit: float
    xai: Path

    def measure(self, engine: Engine, case: Case) -> dict[str, Any]:
        """Run one engine on one case, and compare its values."""
        files = files_of(case, self.subjects, engine.profile)
        # Its map is of the last layer, whichever class.
        peer = None
        if engine.name == "openvino" and self.xai.is_file() and case.layer is None:
            peer = with_xai(self.xai, files.plain)
        # What a processor takes to imitate a GPU says nothing about a GPU.
        rounds = self.rounds if engine.timed and not engine.imitated else 0
        job = job_of(files, rounds, self.subjects.threads, self.seconds, peer)
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write(job, folder)
            outcome = run(engine.command(folder), folder, self.limit, engine.environment())
        row: Row = {"layers": files.layers, "bytes": files.bytes}
        if outcome.state != "ran":
            return row | {"state": outcome.state, "reason": outcome.reason, "file": outcome.model}
        named = roles(files)
        expected, again = (
            reference(files, self.subjects.threads, optimised=one) for one in (True, False)
        )
        state, errors = judge(outcome.values, expected, again, named)
        return row | figures(outcome, state, errors, named["explanation"])


def _add(book: Book, engine: Engine, case: Case, bench: Bench) -> None:
    watch, version = Watch(), engine.version()
    found: Row = {"state": "not installed", "reason": ""}
    if version is not None:
        try:
            found = bench.measure(engine, case)
        except GraftcamError as error:
            found = {"state": "not exported", "reason": first_words(str(error))}
    about = {"engine": engine.name, "family": case.family, "model": case.model}
    row: Row = {**about, "layer": case.layer, "version": version, **found}
    book.add(key_of(engine, case), row, watch.others())
    medians = {name: one[1] for name, one in row.get("ratios", {}).items()}
    say(f"{key_of(engine, case)}: {row['state']} {medians or row.get('reason', '')}")


def with_xai(python: Path, plain: Path) -> Path | None:
    """The plain file with the branch of OpenVINO XAI; None where the package cannot add it."""
    target = plain.with_suffix(".xai.xml")
    script = Path(__file__).with_name("insert_xai.py")
    made = subprocess.run(
        [python, script, plain, target], capture_output=True, text=True, check=False
    )
    if made.returncode:
        say(f"OpenVINO XAI, {plain.name}: {first_words(made.stderr[-300:])}")
    return target if made.returncode == 0 else None


def figures(
    outcome: Outcome, state: str, errors: dict[str, float], explanation: Sequence[str]
) -> dict[str, Any]:
    """The row's numbers: errors, times in units of the plain file, memory."""
    times, found = outcome.times, dict[str, Spread]()
    if times:
        found["explained"] = ratio(times, "explained", "plain")
    if "peer" in times:
        found["peer"] = ratio(times, "peer", "plain")
    worst = max(errors[name] for name in explanation)
    # JSON has no NaN and no infinity.
    shown = {name: _digits(error) for name, error in errors.items()}
    memory = {name: round(one, 1) for name, one in outcome.memory.items()}
    return {
        "state": state, "errors": shown, "explanation": _digits(worst), "values": spreads(times),
        "ratios": found, "memory": memory,
    }  # fmt: skip


def _digits(error: float) -> float | None:
    return float(f"{error:.1e}") if np.isfinite(error) else None


if __name__ == "__main__":
    sys.exit(main())
