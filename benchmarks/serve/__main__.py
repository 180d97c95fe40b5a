"""``python -m benchmarks.serve`` (`make serve-bench`) measures `graftcam serve` on loopback.

Each part is written to ``docs/serve.json`` as soon as it is measured, and to the section *Serving*
of ``docs/benchmarks.md``; parts that are done are skipped, so that it can be interrupted. The bare
loop and the service run in turns, each in a process of its own, and so does the client.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ..machine import describe
from ..script import DOCS, ROOT, options, say, write_json
from . import parts
from .models import MODELS, PHOTOS, artifact
from .page import write_section

_WORK = ROOT / ".bench" / "serve"
_PACKAGES = ("onnxruntime", "numpy", "starlette", "uvicorn", "python-multipart")


def main() -> int:
    """Measure what is missing."""
    asked = options(
        __doc__,
        parts=("", "keys of parts, separated by commas, such as pace/resnet50; else all"),
        rounds=(10, "rounds of each comparison"),
        seconds=(5.0, "seconds of each measurement in a round"),
        count=(10_000, "requests of the memory's part"),
        again=(False, "measure parts that are done, too"),
        docs=(DOCS, "folder for the results and the page"),
    )
    path: Path = asked.docs / "serve.json"
    found: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {"parts": {}}
    work = works(asked.rounds, asked.seconds, asked.count)
    chosen = asked.parts.split(",") if asked.parts else [*work]
    if unknown := set(chosen) - work.keys():
        say(f"unknown parts {sorted(unknown)}; there are {', '.join(work)}")
        return 2
    for key in chosen:
        if key in found["parts"] and not asked.again:
            say(f"{key}: done")
            continue
        begun, load = time.perf_counter(), os.getloadavg()[0]
        row = work[key]()
        found["machine"] = describe(os.cpu_count() or 1, _PACKAGES)
        found["parts"][key] = {**row, "load": round(load, 2)}
        write_json(path, found)
        write_section(found, asked.docs / "benchmarks.md")
        say(f"{key}: {time.perf_counter() - begun:.0f} s")
    return 0


def works(rounds: int, seconds: float, count: int) -> dict[str, Callable[[], dict[str, Any]]]:
    """Return what measures each part, by its key."""

    def of(model: str, work: Callable[..., Any], *arguments: Any) -> Callable[[], Any]:
        return lambda: work(artifact(model, _WORK), PHOTOS, *arguments)

    main_model = "efficientnet-lite0"
    return {
        **{f"pace/{model}": of(model, parts.pace, rounds, seconds) for model in MODELS},
        "settings": of(main_model, parts.settings, max(1, rounds // 2), seconds),
        "restart": of(main_model, parts.restart, 3),
        "flood": of(main_model, parts.flood, 1000),
        "memory": of(main_model, parts.memory, count),
    }


if __name__ == "__main__":
    sys.exit(main())
