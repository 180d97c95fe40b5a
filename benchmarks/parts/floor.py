"""This part measures inner layers of all kinds of networks: times, memory, and the work done."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from graftcam.runtime.tools.bench import variants
from graftcam.runtime.tools.bench.floor.floor import Floor, find_floor
from graftcam.runtime.tools.bench.measure import open_artifact

from ..book import Row
from ..runs import FIRST, batch, explained_runs, part_run, plain_run
from ..subjects import FLOOR, INPUT, Artifact, Subjects
from ..timing import Spread, extra, measure, ratio, spread, spreads
from ..truth import Array
from .part import Case

_ROUNDS = 11
_MANY, _CLASSES = 8, 4
_PROCESSES = 3
_GROUPS = {subject: group for group, subjects in FLOOR.items() for subject in subjects}


def _measure(case: Case, subjects: Subjects) -> Row:
    """Ratios to the part above the layer, to one map, and to the plain model's memory.

    All numbers of images and classes take turns, so that a map's time can be compared in a round.
    """
    assert case.layer is not None
    artifact = subjects.artifact(case.model, case.layer)
    plain, threads = subjects.stripped(case.model, case.layer), subjects.threads
    one, many = batch(1), batch(_MANY)
    classes = {"predict": 0, "explained": 1, "four": _CLASSES}
    runs = {
        "plain": plain_run(plain, one, threads),
        **explained_runs(artifact, one, classes, threads),
        "part": part_run(subjects.part(case.model, case.layer), one, threads),
        "plain 8": plain_run(plain, many, threads),
        **explained_runs(artifact, many, {"eight": 1}, threads),
    }
    times = measure(runs, case.rounds)
    added = extra(times, "explained", "plain")
    floor, memory = _work(artifact, plain, one, threads)
    megabytes = {name: [peak / 1e6 for peak in peaks] for name, peaks in memory.items() if peaks}
    return {
        "layer": artifact.layer,
        "group": _GROUPS[case.model, case.layer],
        "values": spreads(times) | spreads(megabytes, 0),
        "ratios": {
            "explained": spread(added / times["part"]),
            "predict": ratio(times, "predict", "plain"),
            "four": spread(extra(times, "four", "plain") / (_CLASSES * added)),
            "eight": spread(extra(times, "eight", "plain 8") / (_MANY * added)),
            **_ratio_of_medians(memory),
        },
        "floor": shortened(floor),
    }


def _work(
    artifact: Artifact, plain: Path, pixels: Array, threads: int
) -> tuple[Floor, dict[str, list[int]]]:
    """Return the floor of a run with K = 1, and peak bytes of some processes by variant."""
    session = open_artifact(artifact.path, "cpu", threads)
    none, explained = variants.explained(session, {INPUT: pixels}, {None: [FIRST]}, threads)
    with tempfile.TemporaryDirectory() as folder:
        profile, graph = explained.profile_and_graph(Path(folder))
    base = variants.plain(plain, none, session.spec.own_inputs)
    measured = {"plain MB": base, "explained MB": explained}
    peaks: dict[str, list[int]] = {name: [] for name in measured}
    for _ in range(_PROCESSES):
        for name, variant in measured.items():
            peaks[name] += [peak for peak in [variant.peak_memory()] if peak is not None]
    return find_floor(profile, session.spec, graph), peaks


def _ratio_of_medians(memory: dict[str, list[int]]) -> dict[str, Spread]:
    """Memory does not vary with the machine's load: processes are not compared in pairs."""
    plain, ours = memory["plain MB"], memory["explained MB"]
    return {"memory": spread([peak / float(np.median(plain)) for peak in ours])} if plain else {}


def shortened(floor: Floor) -> dict[str, Any]:
    """Return what the page shows of a floor, rounded."""
    parts = {
        row.part: {
            "nodes": row.nodes, "ms": round(row.ms, 3), "mmac": round(row.macs / 1e6, 2),
            "mb": round(row.bytes / 1e6, 2),
            "share": None if row.share is None else round(row.share, 3),
        }
        for row in floor.parts
    }  # fmt: skip
    return {
        "parts": parts,
        "gmac_per_s": floor.peak and round(floor.peak.per_ms / 1e6, 2),
        "peak": floor.peak and f"{floor.peak.node} ({floor.peak.operator})",
        "at_peak_ms": floor.at_peak_ms and round(floor.at_peak_ms, 3),
        "gap_ms": {cause: round(ms, 3) for cause, ms in floor.gap_ms.items()},
        "notes": floor.notes,
    }


FLOOR_LAYERS = [Case("floor", _measure, _ROUNDS, model, layer) for model, layer in _GROUPS]
