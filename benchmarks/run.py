"""Times against plain inference and pytorch-grad-cam: ``python -m benchmarks.run``.

All ways of running a model take turns, in a random order each round, in one process and with the
same number of threads; ONNX Runtime's idle threads do not spin. Writes ``docs/benchmarks.md`` and
``docs/benchmarks.json``. Run it on a quiet machine.
"""

from __future__ import annotations

import argparse
import os
import platform
import random
import sys
import tempfile
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np
import torch

from .bench_report import write_report
from .hotspots import hotspots
from .subjects import SUBJECTS, Run, Subject, prepare, runs_of

Result = dict[str, Any]
_ROOT = Path(__file__).resolve().parent.parent
_WARM_UPS = 3
_PAUSE = 0.02  # seconds before each run: PyTorch's threads spin for a while after their work


def main() -> int:
    """Measure what is asked for and write both files."""
    options = _options()
    torch.set_num_threads(options.threads)
    chosen = [s for s in SUBJECTS if not options.models or s.model in options.models.split(",")]
    # N = 8 takes eight times as long and scatters less.
    rounds = {1: 7} if options.quick else {1: options.rounds, 8: max(5, options.rounds // 3)}
    machine = describe(options.threads)
    _say(f"{machine['cpu']}, {machine['cores']} cores, load {machine['load']}")
    results: list[Result] = []
    for subject in chosen:
        results += _measure_subject(subject, rounds, options.threads)
    write_report(machine, results, Path(options.docs), quick=options.quick)
    return 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one picture only, few rounds")
    parser.add_argument("--models", help="names, separated by commas; all by default")
    parser.add_argument("--rounds", type=int, default=25, help="at N = 1; a third of it at N = 8")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--docs", default=str(_ROOT / "docs"), help="where the tables go")
    return parser.parse_args()


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def describe(threads: int) -> dict[str, Any]:
    """The machine and the versions, as far as times depend on them."""
    packages = ("onnxruntime", "torch", "torchvision", "onnx", "onnxscript", "grad-cam", "numpy")
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "load": round(os.getloadavg()[0], 2),
        "versions": {package: metadata.version(package) for package in packages},
    }


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown CPU"
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


def _measure_subject(
    subject: Subject, rounds: dict[int, int], threads: int
) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    with tempfile.TemporaryDirectory() as folder:
        _say(f"{subject.model}: export")
        prepared = prepare(subject, Path(folder))
        profile = hotspots(prepared, Path(folder), threads)
        for images, count in rounds.items():
            _say(f"{subject.model} {prepared.layer}, N = {images}: {count} rounds")
            times = measure(runs_of(prepared, images, threads), count)
            result: Result = {
                "model": subject.model, "layer": prepared.layer, "last": subject.layer is None,
                "images": images, "rounds": count,
                "ms": {name: _quartiles(values) for name, values in times.items()},
                "of_plain": {
                    name: _ratio(times[name], times["plain"]) for name in times if name != "plain"
                },
                "peer_of_explained": _ratio(times["peer"], times["explained"]),
            }  # fmt: skip
            if images == 1:
                result["profile"] = profile
            found.append(result)
            ratios = ", ".join(f"{name} {value:.2f}" for name, value in result["of_plain"].items())
            _say(f"  plain {result['ms']['plain'][1]:.1f} ms; times that: {ratios}")
    return found


def measure(runs: dict[str, Run], rounds: int) -> dict[str, list[float]]:
    """Milliseconds of each run in each round; all runs of a round follow each other."""
    order = list(runs)
    shuffle = random.Random(0).shuffle
    times: dict[str, list[float]] = {name: [] for name in runs}
    for turn in range(_WARM_UPS + rounds):
        shuffle(order)
        for name in order:
            time.sleep(_PAUSE)
            start = time.perf_counter()
            runs[name]()
            if turn >= _WARM_UPS:
                times[name].append(1000 * (time.perf_counter() - start))
    return times


def _quartiles(values: list[float]) -> list[float]:
    return [round(float(q), 2) for q in np.percentile(values, [25, 50, 75])]


def _ratio(values: list[float], base: list[float]) -> float:
    """Median of the rounds' ratios: what slows a whole round cancels."""
    return round(float(np.median(np.divide(values, base))), 3)


if __name__ == "__main__":
    sys.exit(main())
