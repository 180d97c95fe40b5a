"""This part compares inner layers with the adjoint that onnx-ad writes, at a batch of 1."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx_ad

from ..book import Row
from ..runs import FIRST, batch, explained_runs, part_run, plain_run, random_feeds
from ..session import open_session
from ..subjects import INNER, Artifact, Subjects
from ..timing import Run, extra, measure, spread, spreads
from .part import Case


def _measure(case: Case, subjects: Subjects) -> Row:
    """What each adds: to the plain forward here, to the part's own forward there."""
    threads, pixels = subjects.threads, batch(1)
    artifact = subjects.artifact(case.model, case.layer, "none")
    part = subjects.part(case.model, case.layer, "none")
    runs: dict[str, Run] = {
        "plain": plain_run(subjects.plain(case.model, "none"), pixels, threads),
        **explained_runs(artifact, pixels, {"explained": 1}, threads),
        "part": part_run(part, pixels, threads),
    }
    row: Row = {"layer": artifact.layer}
    try:
        runs["onnx-ad"] = _adjoint_run(part, artifact, threads)
    except Exception as error:  # whatever it says of what it does not cover
        first = (str(error).splitlines() or [""])[0]
        return row | {"ratios": {}, "refused": f"{type(error).__name__}: {first}"}
    times = measure(runs, case.rounds)
    ours, theirs = extra(times, "explained", "plain"), extra(times, "onnx-ad", "part")
    return row | {
        "values": spreads(times),
        "ratios": {
            "ours": spread(ours / times["part"]),
            "theirs": spread(theirs / times["part"]),
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
    seed = feeds[f"adj_{score}"]
    seed[:] = 0
    seed[0, FIRST] = 1
    return lambda: session.run(None, feeds)


ADJOINT = [Case("adjoint", _measure, 25, model, layer, images=1) for model, layer in INNER]
