"""``python -m benchmarks.engines.child ENGINE FOLDER`` does a job in one engine."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import psutil

from graftcam.runtime.errors import GraftcamError
from graftcam.runtime.session.engines.openvino import SETTINGS
from graftcam.runtime.session.engines.table import ENGINES, start_engine
from graftcam.runtime.session.session import Model
from graftcam.runtime.tools.bench.timing import WARM_UPS, interleave, warm_up

from ..session import open_session
from .job import Array, Outcome, first_words, read_array, write_result

_FEWEST = 3  # rounds
_WEIGHED = ("plain", "explained")
Run = Callable[[Mapping[str, Array], Sequence[str]], list[Array]]
"""Takes inputs by name and the names of the wanted outputs; returns these."""


def do(engine: str, folder: Path) -> Outcome:
    """Open all files, run what is compared, then time the others in turns."""
    job = json.loads((folder / "job.json").read_text("utf-8"))
    try:
        start_engine(engine)
    except GraftcamError as error:
        absent = "not installed" if "is not installed" in str(error) else "no device"
        return Outcome(absent, str(error))
    opened, memory = dict[str, Run](), dict[str, float]()
    for name, call in job["calls"].items():
        before = resident()
        try:
            opened[name] = opener(engine, Path(call["path"]), job["threads"])
        except Exception as error:  # an engine's own, of any class
            return Outcome("unread", first_words(str(error)), name)
        try:
            if name in _WEIGHED and job["rounds"]:
                opened[name](_feeds(call, folder), call["fetch"])
        except Exception as error:  # likewise
            return Outcome("failed", first_words(str(error)), name)
        memory |= {name: resident() - before} if name in _WEIGHED and job["rounds"] else {}
    runs = {name: partial(model, _feeds(job["calls"][name], folder), job["calls"][name]["fetch"])
            for name, model in opened.items()}  # fmt: skip
    try:
        found = runs.pop("compared")()
    except Exception as error:  # likewise
        return Outcome("failed", first_words(str(error)), "compared")
    # Some engines return views of memory that the next run overwrites.
    names = job["calls"]["compared"]["fetch"]
    values = {name: value.copy() for name, value in zip(names, found, strict=True)}
    if not job["rounds"]:
        return Outcome("ran", values=values)
    turn = warm_up(runs)
    rounds = rounds_for(job["rounds"], job["seconds"] - turn * WARM_UPS, turn)
    times = interleave(runs, rounds, pause=0.02)
    return Outcome("ran", times=times, values=values, memory=memory)


def opener(engine: str, path: Path, threads: int) -> Run:
    """Open a file; in ONNX Runtime's CPU as all measurements do."""
    if path.suffix == ".xml":
        return _opener_of_openvinos_own(path, threads)
    if engine not in (*ENGINES, "cpu"):
        model = Model(path, threads=threads, engine=engine)
        return lambda feeds, names: [*model.run(feeds, names).values()]
    session: Any = (
        open_session(path, threads) if engine == "cpu" else ENGINES[engine].open(path, threads)
    )
    return lambda feeds, names: session.run(list(names), dict(feeds))


def _opener_of_openvinos_own(path: Path, threads: int) -> Run:
    """Open a file of OpenVINO's own format, as OpenVINO XAI writes them, by the same settings."""
    core: Any = ENGINES["openvino"].start()
    settings = {**SETTINGS, "PERFORMANCE_HINT": "LATENCY", "INFERENCE_NUM_THREADS": threads}
    request = core.compile_model(core.read_model(path), "CPU", settings).create_infer_request()

    def run(feeds: Mapping[str, Array], names: Sequence[str]) -> list[Array]:
        found = request.infer(dict(feeds))
        return [np.array(found[name]) for name in names]

    return run


def resident() -> float:
    """Megabytes of this process and of those that it started."""
    own = psutil.Process()
    every = [own, *own.children(recursive=True)]
    return sum(one.memory_info().rss for one in every) / 1e6


def rounds_for(most: int, seconds: float, turn: float) -> int:
    """How many rounds of ``turn`` seconds fit, at least three."""
    return max(_FEWEST, min(most, int(seconds / turn)))


def _feeds(call: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {name: read_array(one, folder) for name, one in call["feeds"].items()}


if __name__ == "__main__":
    place = Path(sys.argv[2])
    write_result(do(sys.argv[1], place), place)
