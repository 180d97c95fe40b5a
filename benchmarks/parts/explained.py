"""These parts compare an explained run with the plain export, at automatic and inner layers."""

from __future__ import annotations

from ..book import Row
from ..hotspots import hotspots
from ..runs import FIRST, batch, explained_runs, part_run, plain_run
from ..subjects import INNER, MODELS, Subjects, linear_head
from ..targets import missed
from ..timing import extra, measure, ratios, spread, spreads
from .part import Case

_CLASSES = {"predict": 0, "explained": 1, "five": 5}
_ROUNDS = {1: 25, 8: 9}  # eight images take eight times as long and scatter less


def _measure(case: Case, subjects: Subjects) -> Row:
    """Ratios to the plain forward.

    At an inner layer: what is added, in units of the forward time of the part above the layer.
    """
    plain, artifact = subjects.plain(case.model), subjects.artifact(case.model, case.layer)
    pixels, threads = batch(case.images), subjects.threads
    runs = {
        "plain": plain_run(plain, pixels, threads),
        **explained_runs(artifact, pixels, _CLASSES, threads),
    }
    if case.layer:
        runs["part"] = part_run(subjects.part(case.model, case.layer), pixels, threads)
    times = measure(runs, case.rounds)
    found = ratios(times, "plain")
    if case.layer:
        del found["part"]
        for name in ("explained", "five"):
            found[name] = spread(extra(times, name, "plain") / times["part"])
    row = {
        "layer": artifact.layer, "linear_head": linear_head(artifact),
        "values": spreads(times), "ratios": found,
    }  # fmt: skip
    # Where the time goes, for each number of classes that misses its target.
    profiles = {
        name: hotspots(
            plain, artifact.path, pixels,
            artifact.feeds(pixels, range(FIRST, FIRST + _CLASSES[name])), threads,
        )
        for name in missed(case.part, {"model": case.model} | row)
    }  # fmt: skip
    return row | {"profiles": profiles}


LAST = [
    Case("last", _measure, rounds, model, images=images)
    for model in MODELS
    for images, rounds in _ROUNDS.items()
]
INNER_LAYERS = [
    Case("inner", _measure, rounds, model, layer, images)
    for model, layer in INNER
    for images, rounds in _ROUNDS.items()
]
