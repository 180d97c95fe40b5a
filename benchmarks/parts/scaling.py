"""This part measures how the cost grows with N, K, the image's side and the number of threads."""

from __future__ import annotations

import os

from ..book import Row
from ..runs import batch, explained_runs, plain_run
from ..subjects import Axes, Subjects
from ..timing import Run, measure, ratio, spreads
from .part import Case

# One average pool and a linear layer, a deeper head, and an inner layer.
_SUBJECTS = (("resnet50", None), ("mobilenet_v3_large", None), ("resnet50", "layer3"))
_POINTS = {
    "N": (1, 2, 4, 8, 16, 32),
    "K": (0, 1, 2, 5, 10, 20),
    "side": (128, 224, 320, 416, 512),
    "threads": tuple(count for count in (1, 2, 4, 8) if count <= (os.cpu_count() or 1)),
}
_ROUNDS = {"N": 7, "K": 15, "side": 9, "threads": 15}


def _measure(case: Case, subjects: Subjects) -> Row:
    """All points of one axis take turns."""
    axes: Axes = "size" if case.axis == "side" else "batch"
    artifact = subjects.artifact(case.model, case.layer, axes)
    plain = subjects.plain(case.model, axes)
    runs: dict[str, Run] = {}
    for point in _POINTS[case.axis]:
        at = {"N": 1, "K": 1, "side": 224, "threads": subjects.threads} | {case.axis: point}
        pixels = batch(at["N"], at["side"])
        runs[f"plain {point}"] = plain_run(plain, pixels, at["threads"])
        classes = {f"explained {point}": at["K"]}
        runs |= explained_runs(artifact, pixels, classes, at["threads"])
    times = measure(runs, case.rounds)
    found = {
        str(point): ratio(times, f"explained {point}", f"plain {point}")
        for point in _POINTS[case.axis]
    }
    return {"layer": artifact.layer, "values": spreads(times), "ratios": found}


SCALING = [
    Case("scaling", _measure, rounds, model, layer, axis=axis)
    for model, layer in _SUBJECTS
    for axis, rounds in _ROUNDS.items()
]
