"""``python -m benchmarks.providers`` runs artifacts on every engine that this machine has.

Each engine works in a process of its own, with a time limit: that it crashes or reads no file is a
row of the table. The plain file, the artifact and the part above the layer are run in turns. Rows
go to ``docs/providers.json`` as soon as they are measured, and are skipped when they are there: the
run can be interrupted. Then ``docs/providers.md`` is written. Times count on a quiet machine only.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from ..book import Book, MixError, Row
from ..machine import Watch, code_digest, describe
from ..script import DOCS, ROOT, options, say
from ..subjects import Subjects
from ..timing import Spread, extra, ratio, spread, spreads
from .engines import ENGINES, Engine
from .job import Outcome, first_words, run, write
from .page import write_page
from .subjects import CASES, Case, Files, job_of, reference, roles
from .verdict import judge

_PACKAGES = ("onnxruntime", "torch", "onnx", "numpy")


def main() -> int:
    """Measure missing rows and write the page; return 2 for unusable options."""
    asked = options(
        __doc__,
        engines=("", f"of {', '.join(e.name for e in ENGINES)}, separated by commas; else all"),
        models=("", f"of {', '.join(dict.fromkeys(c.model for c in CASES))}; else all"),
        rounds=(15, "of each row, at most"),
        limit=(600.0, "seconds for one engine and layer"),
        quick=(False, "few rounds, to see that it works"),
        again=(False, "measure rows that are done, too"),
        fresh=(False, "ignore all earlier rows"),
        threads=(1, "of each engine"),
        docs=(DOCS, "folder for the page"),
        work=(ROOT / ".bench" / "providers", "folder for the models' files"),
        xai=(Path(), "Python with openvino_xai, whose maps are timed beside; default: none"),
    )
    names = asked.engines.split(",") if asked.engines else [one.name for one in ENGINES]
    models = asked.models.split(",") if asked.models else [one.model for one in CASES]
    unknown = {*names} - {e.name for e in ENGINES} | {*models} - {c.model for c in CASES}
    if unknown:
        say(f"unknown: {', '.join(sorted(unknown))}; --help lists engines and models")
        return 2
    engines = [one for one in ENGINES if one.name in names]
    cases = [one for one in CASES if one.model in models]
    setting = describe(asked.threads, _PACKAGES)
    book = Book(asked.docs / "providers.json", setting, code_digest(), 0, asked.quick)
    try:
        say(book.open(fresh=asked.fresh, whole=not asked.engines and not asked.models))
    except MixError as error:
        say(str(error))
        return 2
    rounds = 3 if asked.quick else asked.rounds
    subjects = Subjects(asked.work / book.code, asked.threads)
    try:
        for case in cases:
            for engine in engines:
                if asked.again or not done(book, engine, case):
                    _add(book, engine, case, subjects, rounds, asked.limit, asked.xai)
    except KeyboardInterrupt:
        say("interrupted; run again to continue")
    finally:
        write_page(book, asked.docs / "providers.md")
        say(f"written: {asked.docs / 'providers.md'}")
    return 0


def key_of(engine: Engine, case: Case) -> str:
    """Stable name of a row."""
    return f"{engine.name}/{case.key}"


def done(book: Book, engine: Engine, case: Case) -> bool:
    """Whether there is a row of this code and of the engine's present version."""
    key = key_of(engine, case)
    return book.current(key) and book.rows[key]["version"] == engine.version()


def _add(
    book: Book, engine: Engine, case: Case, subjects: Subjects, rounds: int, limit: float,
    xai: Path,
) -> None:  # fmt: skip
    watch = Watch()
    if missing := engine.missing():
        found: Row = {"state": "not installed", "reason": missing, "layer": case.layer}
    else:
        found = measure(engine, case, subjects, rounds, limit, xai)
    row: Row = {"engine": engine.name, "model": case.model, "version": engine.version(), **found}
    book.add(key_of(engine, case), row, watch.others())
    medians = {name: one[1] for name, one in row.get("ratios", {}).items()}
    say(f"{key_of(engine, case)}: {row['state']} {medians or row.get('reason', '')}")


def measure(
    engine: Engine, case: Case, subjects: Subjects, rounds: int, limit: float, xai: Path
) -> dict[str, Any]:
    """Run one engine on one case, and compare its values."""
    files = Files.of(case, subjects, engine.profile)
    # Its map is of the last layer, whichever class.
    peer = None
    if engine.name == "openvino" and xai.is_file() and case.layer is None:
        peer = with_xai(xai, files.plain)
    environment = engine.environment()
    # What a processor takes to imitate a GPU says nothing about a GPU.
    rounds = 0 if environment else rounds
    job = job_of(files, rounds, subjects.threads, seconds=limit / 4, peer=peer)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write(job, folder)
        outcome = run(engine.command(folder), folder, limit, environment)
    device = f"{outcome.device}, as a software GPU" if environment else outcome.device
    row = {"layer": files.artifact.layer, "device": device}
    if outcome.state != "ran":
        return row | {"state": outcome.state, "reason": outcome.reason, "file": outcome.model}
    # The same file: how far the two profiles agree is shown by the engine that both run on.
    web = Files.of(case, subjects, "web")
    expected, again = (reference(web, subjects.threads, optimised=one) for one in (True, False))
    state, errors = judge(outcome.values, expected, again, roles(web.artifact))
    return row | figures(outcome, state, errors)


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


def figures(outcome: Outcome, state: str, errors: dict[str, float]) -> dict[str, Any]:
    """The row's numbers: times, and what they are in units of the plain file and of the part."""
    times, found = outcome.times, dict[str, Spread]()
    if times:
        found["explained"] = ratio(times, "explained", "plain")
    if "peer" in times:
        found["peer"] = ratio(times, "peer", "plain")
    if "part" in times:
        found["extra"] = spread(extra(times, "explained", "plain") / times["part"])
    # JSON has no NaN and no infinity.
    shown = {n: float(f"{e:.1e}") if np.isfinite(e) else None for n, e in errors.items()}
    return {"state": state, "errors": shown, "values": spreads(times), "ratios": found}


if __name__ == "__main__":
    sys.exit(main())
