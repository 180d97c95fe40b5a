"""These parts measure the size of the file, the time to write it, and a session's memory."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import onnx

from ..book import Case, Row
from ..spawn import spawn
from ..subjects import MODELS, write_artifact, write_plain
from ..timing import Times, gather, measure, ratios, spreads
from .part import Bench, Part

# Exports take long: models of each kind, small and large.
_EXPORTED = ("resnet50", "mobilenet_v3_large", "densenet121", "vit_b_16")
_EXPORTS, _STARTS = 3, 3


def _measure_size(case: Case, bench: Bench) -> Row:
    artifact = bench.subjects.artifact(case.model)
    sizes: Times = {
        "plain": [bench.subjects.plain(case.model).stat().st_size / 1e6],
        "artifact": [artifact.path.stat().st_size / 1e6],
    }
    return {
        "model": case.model, "layer": artifact.layer, "rounds": 1, "values": spreads(sizes),
        "ratios": {"artifact": [round(sizes["artifact"][0] / sizes["plain"][0], 4)] * 3},
        "nodes": _nodes(artifact.path),
    }  # fmt: skip


def _nodes(path: Path) -> dict[str, int]:
    """How many nodes are the model's own, and how many were added."""
    names = [node.name for node in onnx.load(path, load_external_data=False).graph.node]
    return dict(Counter("added" if name.startswith("grad/") else "own" for name in names))


def _measure_memory(case: Case, bench: Bench) -> Row:
    """Peak of a process that loads a file and runs it, and of one that only imports."""
    artifact, rounds = bench.subjects.artifact(case.model), bench.rounds(_STARTS)
    common = {"threads": bench.threads, "images": case.images}
    plain = str(bench.subjects.plain(case.model))
    found = gather(
        {
            "imports": lambda: spawn("session_memory", path=None, classes=None, **common),
            "plain": lambda: spawn("session_memory", path=plain, classes=None, **common),
            "artifact": lambda: spawn(
                "session_memory", path=str(artifact.path), classes=1, **common
            ),
        },
        rounds,
    )["mb"]
    above = {
        name: [mb - base for mb, base in zip(found[name], found["imports"], strict=True)]
        for name in ("plain", "artifact")
    }
    return {
        "model": case.model, "layer": artifact.layer, "images": case.images, "rounds": rounds,
        "values": spreads(found),
        "ratios": {
            "artifact": ratios(found, "plain")["artifact"],
            "increment": ratios(above, "plain")["artifact"],
        },
    }  # fmt: skip


def _measure_export(case: Case, bench: Bench) -> Row:
    """`export` without verification and `torch.onnx.export`, in turns in one process."""
    module, rounds = bench.subjects.module(case.model), bench.rounds(_EXPORTS)
    file = bench.subjects.file(case.model, "export.onnx")
    times = measure(
        {
            "torch": lambda: write_plain(module, file, "batch"),
            "graftcam": lambda: write_artifact(module, file, None, "batch"),
        },
        1 if bench.quick else rounds,
        warm_ups=0 if bench.quick else 1,
    )
    return {
        "model": case.model, "rounds": rounds, "values": spreads(times, 0),
        "ratios": ratios(times, "torch"),
    }  # fmt: skip


SIZE = Part(tuple(Case("size", model) for model in MODELS), _measure_size)
MEMORY = Part(
    tuple(Case("memory", model, images=images) for model in MODELS for images in (1, 8)),
    _measure_memory,
)
EXPORT = Part(tuple(Case("export", model) for model in _EXPORTED), _measure_export)
