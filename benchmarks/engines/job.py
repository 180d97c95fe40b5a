"""A `Job` goes to a process of its own as a folder: JSON and the arrays' bytes.

The process writes ``result.json`` and the wanted arrays into the folder. That an engine crashes, or
never returns, is a result as well.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from ..script import ROOT

Array = npt.NDArray[Any]
_SAID = 300  # last characters of an engine's message that a row stores


@dataclass(frozen=True)
class Call:
    """A file to run.

    Attributes:
        path: The file.
        feeds: Its inputs, by name.
        fetch: Names of the outputs that are fetched.
    """

    path: Path
    feeds: Mapping[str, Array]
    fetch: Sequence[str]


@dataclass(frozen=True)
class Job:
    """What a process is to do.

    Attributes:
        timed: Files that are run in turns, by name. They must not differ in what they are fed.
        compared: What is run once, for its values.
        rounds: How often each is timed, at most; 0: only the values are wanted.
        seconds: Time that the rounds should take; at least three are made.
        threads: Of the engine.
    """

    timed: Mapping[str, Call]
    compared: Call
    rounds: int
    seconds: float = 60
    threads: int = 1


@dataclass(frozen=True)
class Outcome:
    """What came of a job.

    Attributes:
        state: ``ran``, or why not: ``no device``, ``unread`` (the engine does not open a file),
            ``failed`` (it opens all and cannot run one), ``crashed``, ``timeout``.
        reason: The engine's words.
        model: Name of the file that is to blame, where one is.
        times: Milliseconds by file and round.
        values: Outputs of the compared run.
        memory: Megabytes that each file and its first run took.
    """

    state: str
    reason: str = ""
    model: str = ""
    times: Mapping[str, list[float]] = field(default_factory=dict[str, list[float]])
    values: Mapping[str, Array] = field(default_factory=dict[str, Array])
    memory: Mapping[str, float] = field(default_factory=dict[str, float])


def write(job: Job, folder: Path) -> None:
    """Write the job into an empty folder."""
    calls = {**job.timed, "compared": job.compared}
    told = {
        name: {
            "path": str(call.path),
            "feeds": {n: write_array(a, folder / f"{name}.{i}.in")
                      for i, (n, a) in enumerate(call.feeds.items())},
            "fetch": list(call.fetch),
        }
        for name, call in calls.items()
    }  # fmt: skip
    settings = {"rounds": job.rounds, "seconds": job.seconds, "threads": job.threads}
    (folder / "job.json").write_text(json.dumps(settings | {"calls": told}), "utf-8")


def write_array(array: Array, path: Path) -> dict[str, Any]:
    """Write an array's bytes; return what says how to read them."""
    path.write_bytes(np.ascontiguousarray(array).tobytes())
    return {"dtype": array.dtype.name, "shape": list(array.shape), "file": path.name}


def read_array(told: Mapping[str, Any], folder: Path) -> Array:
    """Read what `write_array` wrote."""
    data = (folder / told["file"]).read_bytes()
    return np.frombuffer(data, told["dtype"]).reshape(told["shape"])


def run(
    command: Sequence[str], folder: Path, limit: float, environment: Mapping[str, str] | None = None
) -> Outcome:
    """Run the process that does the job in ``folder``.

    Args:
        command: The process.
        folder: With the job; the result is read from it.
        limit: Seconds after which the process is ended.
        environment: Variables in addition to this process's own.
    """
    with (folder / "said.txt").open("w+", encoding="utf-8", errors="replace") as said:
        try:
            code = subprocess.run(
                command, stdout=said, stderr=said, cwd=ROOT, timeout=limit, check=False,
                env={**os.environ, **(environment or {})},
            ).returncode  # fmt: skip
        except subprocess.TimeoutExpired:
            return Outcome("timeout", f"no answer in {limit:.0f} s")
        said.seek(0)
        words = said.read()
    path = folder / "result.json"
    if not path.exists():
        ended = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return Outcome("crashed", f"{ended}: {first_words(words[-_SAID:])}")
    found = json.loads(path.read_text("utf-8"))
    values = {name: read_array(one, folder) for name, one in found.pop("values", {}).items()}
    return Outcome(**found, values=values)


def first_words(text: str) -> str:
    """Return an engine's message on one line, as long as a table can show."""
    line = " ".join(text.split())
    return line if len(line) <= _SAID else f"{line[:_SAID]} ..."


def write_result(outcome: Outcome, folder: Path) -> None:
    """Write the result, for the process that waits for it."""
    told = asdict(outcome)
    told["values"] = {
        name: write_array(array, folder / f"{number}.out")
        for number, (name, array) in enumerate(outcome.values.items())
    }
    # Only a whole file counts: an engine may crash while the process ends.
    (folder / "result.tmp").write_text(json.dumps(told), "utf-8")
    (folder / "result.tmp").replace(folder / "result.json")
