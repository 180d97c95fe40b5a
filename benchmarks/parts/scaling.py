"""This part measures how the cost grows with N, K, the image's side and the number of threads."""

from __future__ import annotations

import os

from ..book import Case, Row
from ..runs import batch, explained_runs, plain_run
from ..subjects import Axes
from ..timing import Run, measure, ratios, spreads
from .part import Bench, Part

# One average pool and a linear layer, a deeper head, and an inner layer.
_SUBJECTS = (("resnet50", None), ("mobilenet_v3_large", None), ("resnet50", "layer3"))
POINTS = {
    "N": (1, 2, 4, 8, 16, 32),
    "K": (0, 1, 2, 5, 10, 20),
    "side": (128, 224, 320, 416, 512),
    "threads": tuple(count for count in (1, 2, 4, 8) if count <= (os.cpu_count() or 1)),
}
_ROUNDS = {"N": 7, "K": 15, "side": 9, "threads": 15}


def _measure(case: Case, bench: Bench) -> Row:
    """All points of one axis take turns."""
    axes: Axes = "size" if case.axis == "side" else "batch"
    artifact = bench.subjects.artifact(case.model, case.layer, axes)
    plain = bench.subjects.plain(case.model, axes)
    rounds = bench.rounds(_ROUNDS[case.axis])

    def pair(point: int) -> tuple[Run, Run]:
        images = point if case.axis == "N" else 1
        side = point if case.axis == "side" else None
        threads = point if case.axis == "threads" else bench.threads
        pixels, asked = batch(images, side), point if case.axis == "K" else 1
        explained = explained_runs(artifact, pixels, [asked], threads)[asked]
        return plain_run(plain, pixels, threads), explained

    runs: dict[str, Run] = {}
    for point in POINTS[case.axis]:
        runs[f"plain {point}"], runs[f"explained {point}"] = pair(point)
    times = measure(runs, rounds)
    found = {
        str(point): ratios(
            {name: times[f"{name} {point}"] for name in ("plain", "explained")}, "plain"
        )["explained"]
        for point in POINTS[case.axis]
    }
    return {
        "model": case.model, "layer": artifact.layer, "axis": case.axis, "rounds": rounds,
        "values": spreads(times), "ratios": found,
    }  # fmt: skip


SCALING = Part(
    tuple(
        Case("scaling", model, layer, axis=axis) for model, layer in _SUBJECTS for axis in POINTS
    ),
    _measure,
)
