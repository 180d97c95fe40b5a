"""``python -m benchmarks.providers.child ENGINE FOLDER`` does a job in one of Python's engines."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

from graftcam.runtime.tools.bench.timing import WARM_UPS, interleave, warm_up

from .job import Outcome, first_words, read_array, write_result
from .openers import OPENERS, Model, NoDeviceError

_FEWEST = 3  # rounds


def do(engine: str, folder: Path) -> Outcome:
    """Open all files, run what is compared, then time the others in turns."""
    job = json.loads((folder / "job.json").read_text("utf-8"))
    try:
        opener, device = OPENERS[engine](job["threads"])
    except NoDeviceError as error:
        return Outcome("no device", str(error))
    opened: dict[str, Model] = {}
    for name, call in job["calls"].items():
        try:
            opened[name] = opener(Path(call["path"]))
        except Exception as error:  # an engine's own, of any class
            return Outcome("unread", first_words(str(error)), name, device)
    runs = {name: partial(model, _feeds(job["calls"][name], folder), job["calls"][name]["fetch"])
            for name, model in opened.items()}  # fmt: skip
    values: dict[str, Any] = {}
    for name in runs if job["rounds"] else ["compared"]:
        try:
            found = runs[name]()
        except Exception as error:  # likewise
            return Outcome("failed", first_words(str(error)), name, device)
        if name == "compared":
            # Some engines return views of memory that the next run overwrites.
            copies = [value.copy() for value in found]
            values = dict(zip(job["calls"][name]["fetch"], copies, strict=True))
    del runs["compared"]
    if not job["rounds"]:
        return Outcome("ran", device=device, values=values)
    turn = warm_up(runs)
    rounds = rounds_for(job["rounds"], job["seconds"] - turn * WARM_UPS, turn)
    times = interleave(runs, rounds, pause=0.02)
    return Outcome("ran", device=device, times=times, values=values)


def rounds_for(most: int, seconds: float, turn: float) -> int:
    """How many rounds of ``turn`` seconds fit, at least three."""
    return max(_FEWEST, min(most, int(seconds / turn)))


def _feeds(call: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    return {name: read_array(one, folder) for name, one in call["feeds"].items()}


if __name__ == "__main__":
    place = Path(sys.argv[2])
    write_result(do(sys.argv[1], place), place)
