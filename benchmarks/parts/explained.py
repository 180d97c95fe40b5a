"""These parts compare an explained run with the plain export, at automatic and inner layers."""

from __future__ import annotations

import numpy as np

from ..book import Case, Row
from ..hotspots import hotspots
from ..runs import FIRST, batch, explained_runs, part_run, plain_run
from ..subjects import INNER, MODELS, Artifact, linear_head
from ..targets import missed
from ..timing import Run, extra, measure, ratios, spread, spreads
from .part import Bench, Part

_CLASSES = {0: "predict", 1: "explained", 5: "five"}
_ROUNDS = {1: 25, 8: 9}  # eight images take eight times as long and scatter less


def _measure_last(case: Case, bench: Bench) -> Row:
    artifact = bench.subjects.artifact(case.model)
    rounds = bench.rounds(_ROUNDS[case.images])
    times = measure(_runs(case, bench, artifact), rounds)
    row = {
        **_heading(case, artifact, rounds),
        "linear_head": linear_head(artifact),
        "values": spreads(times), "ratios": ratios(times, "plain"),
    }  # fmt: skip
    return row | {"profiles": _profiles(case, bench, artifact, row)}


def _measure_inner(case: Case, bench: Bench) -> Row:
    """What is added, in units of the forward time of the part above the layer."""
    artifact = bench.subjects.artifact(case.model, case.layer)
    rounds = bench.rounds(_ROUNDS[case.images])
    part = bench.subjects.part(case.model, case.layer)
    runs = _runs(case, bench, artifact)
    runs["part"] = part_run(part, artifact, batch(case.images), bench.threads)
    times = measure(runs, rounds)
    added = {
        name: spread(extra(times, name, "plain") / np.asarray(times["part"]))
        for name in ("explained", "five")
    }
    row = {
        **_heading(case, artifact, rounds), "values": spreads(times),
        "ratios": {**added, "predict": ratios(times, "plain")["predict"]},
    }  # fmt: skip
    return row | {"profiles": _profiles(case, bench, artifact, row)}


def _heading(case: Case, artifact: Artifact, rounds: int) -> Row:
    return {
        "model": case.model, "layer": artifact.layer, "images": case.images, "rounds": rounds
    }  # fmt: skip


def _runs(case: Case, bench: Bench, artifact: Artifact) -> dict[str, Run]:
    pixels = batch(case.images)
    explained = explained_runs(artifact, pixels, list(_CLASSES), bench.threads)
    return {
        "plain": plain_run(bench.subjects.plain(case.model), pixels, bench.threads),
        **{_CLASSES[count]: run for count, run in explained.items()},
    }


def _profiles(case: Case, bench: Bench, artifact: Artifact, row: Row) -> Row:
    """Where the time goes, for each number of classes that misses its target."""
    pixels, plain = batch(case.images), bench.subjects.plain(case.model)
    late = missed(case.part, row)
    return {
        name: hotspots(
            plain, artifact.path, pixels, artifact.feeds(pixels, range(FIRST, FIRST + count)),
            bench.threads,
        )
        for count, name in _CLASSES.items()
        if name in late
    }  # fmt: skip


LAST = Part(
    tuple(Case("last", model, images=images) for model in MODELS for images in _ROUNDS),
    _measure_last,
)
INNER_LAYERS = Part(
    tuple(Case("inner", m, layer, images=images) for m, layer in INNER for images in _ROUNDS),
    _measure_inner,
)
