"""These parts measure the size of the file, what writing it costs, and a session's memory."""

from __future__ import annotations

from collections import Counter
from functools import partial

import onnx

from ..book import Row
from ..contract import export_plain
from ..spawn import spawn
from ..subjects import MODELS, SHAPE, Subjects, module, write_artifact
from ..timing import extra, gather, measure, ratio, ratios, spread, spreads
from .part import Case

# Exports take long: models of each kind, small and large.
_VERIFIED = ("load", "torch", "off", "quick", "full")
_EXPORTED = ("resnet50", "mobilenet_v3_large", "densenet121", "vit_b_16")
_FULLY = _EXPORTED[:3]  # a row of the last would take a quarter of an hour


def _measure_size(case: Case, subjects: Subjects) -> Row:
    """The files' sizes, and how many nodes are the model's own and how many were added."""
    artifact = subjects.artifact(case.model)
    plain, ours = (
        path.stat().st_size / 1e6 for path in (subjects.plain(case.model), artifact.path)
    )
    names = [node.name for node in onnx.load(artifact.path, load_external_data=False).graph.node]
    return {
        "layer": artifact.layer, "values": spreads({"plain": [plain], "artifact": [ours]}),
        "ratios": {"artifact": spread([ours / plain], 4)},
        "nodes": dict(Counter("added" if n.startswith("grad/") else "own" for n in names)),
    }  # fmt: skip


def _measure_memory(case: Case, subjects: Subjects) -> Row:
    """Peak of a process that loads a file and runs it, and of one that only imports."""
    artifact, plain = subjects.artifact(case.model), subjects.plain(case.model)
    run = partial(spawn, "session_memory", threads=subjects.threads, images=case.images)
    runs = {
        "imports": partial(run, path=None, classes=None),
        "plain": partial(run, path=plain, classes=None),
        "artifact": partial(run, path=artifact.path, classes=1),
    }
    found = gather(runs, case.rounds)["mb"]
    above = [extra(found, name, "imports") for name in ("artifact", "plain")]
    return {
        "layer": artifact.layer, "values": spreads(found),
        "ratios": {
            "artifact": ratio(found, "artifact", "plain"), "increment": spread(above[0] / above[1])
        },
    }  # fmt: skip


def _measure_export(case: Case, subjects: Subjects) -> Row:
    """`export` without verification and `torch.onnx.export`, in turns in one process."""
    model, file = module(case.model), subjects.file(case.model, "export.onnx")
    runs = {
        "torch": partial(export_plain, model, SHAPE, file),
        "graftcam": partial(write_artifact, model, file),
    }
    times = measure(runs, case.rounds, warm_ups=min(1, case.rounds - 1))
    return {"values": spreads(times, 0), "ratios": ratios(times, "torch")}


def _measure_verified(case: Case, subjects: Subjects) -> Row:
    """Processes that export a model and verify the artifact, and one that only makes the model."""
    file = subjects.file(case.model, "verified.onnx")
    run = partial(spawn, "exported", model=case.model, path=file, threads=subjects.threads)
    found = gather({how: partial(run, how=how) for how in _VERIFIED}, case.rounds)
    times, memory = found["s"], found["mb"]
    return {
        "values": spreads(times, 1) | {f"{how} MB": v for how, v in spreads(memory, 0).items()},
        "ratios": {how: ratio(times, how, "torch") for how in ("quick", "full")}
        | {f"{how} MB": ratio(memory, how, "torch") for how in ("quick", "full")},
    }  # fmt: skip


SIZE = [Case("size", _measure_size, 1, model) for model in MODELS]
MEMORY = [
    Case("memory", _measure_memory, 3, model, images=images)
    for model in MODELS
    for images in (1, 8)
]
EXPORT = [Case("export", _measure_export, 3, model) for model in _EXPORTED]
VERIFIED = [Case("verified", _measure_verified, 3, model) for model in _FULLY]
