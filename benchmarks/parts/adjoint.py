"""This part compares inner layers with the adjoint that onnx-ad writes, at a batch of 1."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ad

from ..book import Case, Row
from ..runs import FIRST, batch, explained_runs, part_run, plain_run, random_feeds
from ..subjects import INNER, Artifact
from ..timing import Run, extra, measure, spread, spreads
from ..truth import open_session
from .part import Bench, Part

_ROUNDS = 25


def _measure(case: Case, bench: Bench) -> Row:
    """What each adds: to the plain forward here, to the part's own forward there."""
    subjects, rounds, pixels = bench.subjects, bench.rounds(_ROUNDS), batch(1)
    artifact = subjects.artifact(case.model, case.layer, "none")
    part = subjects.part(case.model, case.layer, "none")
    row: Row = {"model": case.model, "layer": artifact.layer, "images": 1, "rounds": rounds}
    runs: dict[str, Run] = {
        "plain": plain_run(subjects.plain(case.model, "none"), pixels, bench.threads),
        "explained": explained_runs(artifact, pixels, [1], bench.threads)[1],
        "part": part_run(part, artifact, pixels, bench.threads),
    }
    try:
        runs["onnx-ad"] = _adjoint_run(part, artifact, bench.threads)
    except Exception as error:  # whatever it says of what it does not cover
        first = (str(error).splitlines() or [""])[0]
        return row | {"ratios": {}, "refused": f"{type(error).__name__}: {first}"}
    times = measure(runs, rounds)
    ours, theirs = extra(times, "explained", "plain"), extra(times, "onnx-ad", "part")
    forward = np.asarray(times["part"])
    return row | {
        "values": spreads(times),
        "ratios": {
            "ours": spread(ours / forward),
            "theirs": spread(theirs / forward),
            "ours_of_theirs": spread(ours / theirs),
        },
    }


def _adjoint_run(part: Path, artifact: Artifact, threads: int) -> Run:
    """Forward and adjoint of the part in one graph; the score's seed picks one class."""
    value, score = artifact.spec.layers[0].value, artifact.spec.score.value
    derived = onnx_ad.reverse(onnx.load(part), inputs=[value], outputs=[score], layout="onnx")
    written = part.with_suffix(".adjoint")
    onnx.save(derived, written)
    session = open_session(written, threads)
    feeds = random_feeds(session.get_inputs(), 1)
    seed = f"adj_{score}"
    feeds[seed] = np.zeros_like(feeds[seed])
    feeds[seed][0, FIRST] = 1
    return lambda: session.run(None, feeds)


ADJOINT = Part(tuple(Case("adjoint", model, layer) for model, layer in INNER), _measure)
