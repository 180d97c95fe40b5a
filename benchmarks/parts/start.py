"""These parts measure what a process pays once: imports, and the time to its first map."""

from __future__ import annotations

import cv2
import numpy as np
import torch

from graftcam.runtime.session.optimize import optimize

from ..book import Case, Row
from ..spawn import spawn
from ..timing import gather, ratios, spreads
from .part import Bench, Part

_IMPORTS, _STARTS = 15, 7
_LIBRARIES = "import onnxruntime, cv2, numpy"
# The package loads its names on first use, so that its import alone says little.
_STATEMENTS = {
    "libraries": _LIBRARIES,
    "package": "import graftcam.runtime",
    "all": f"from graftcam.runtime import Explainer; {_LIBRARIES}",
}


def _measure_imports(case: Case, bench: Bench) -> Row:
    rounds = bench.rounds(_IMPORTS)
    runs = {
        name: lambda statement=statement: spawn("import_time", statement=statement)
        for name, statement in _STATEMENTS.items()
    }
    times = gather(runs, rounds)["ms"]
    return {"rounds": rounds, "values": spreads(times), "ratios": ratios(times, "libraries")}


def _measure_cold(case: Case, bench: Bench) -> Row:
    """From a process's start to its first map, from an image's file; and its peak memory."""
    subjects, rounds, threads = bench.subjects, bench.rounds(_STARTS), bench.threads
    artifact, plain = subjects.artifact(case.model), subjects.plain(case.model)
    weights, image = subjects.file(case.model, "weights.pt"), subjects.file(case.model, "it.png")
    torch.save(subjects.module(case.model).state_dict(), weights)
    cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8))
    here = subjects.file(case.model, "here.onnx")
    optimize(artifact.path, here, "cpu")
    loads = {
        name: lambda path=path: spawn("load_time", path=str(path), threads=threads)
        for name, path in (("artifact", artifact.path), ("optimised", here), ("plain", plain))
    }
    loading = gather(loads, rounds)["ms"]
    maps = {
        name: lambda path=path: spawn(
            "first_map_graftcam", path=str(path), image=str(image), threads=threads
        )
        for name, path in (("graftcam", artifact.path), ("optimised", here))
    }
    found = gather(
        {
            **maps,
            "pytorch-grad-cam": lambda: spawn(
                "first_map_peer", weights=str(weights), image=str(image),
                layer=artifact.layer, threads=threads,
            ),
            "bare": lambda: spawn("first_prediction", path=str(plain), threads=threads),
        },
        rounds,
    )  # fmt: skip
    times, memory = found["ms"], found["mb"]
    return {
        "model": case.model, "layer": artifact.layer, "rounds": rounds,
        "values": spreads(times, 0)
        | {f"{k} MB": v for k, v in spreads(memory, 0).items()}
        | {f"load {k}": v for k, v in spreads(loading, 0).items()},
        "ratios": {
            "optimised": ratios(times, "graftcam")["optimised"],
            "bare": ratios(times, "bare")["graftcam"],
            "time": ratios(times, "pytorch-grad-cam")["graftcam"],
            "memory": ratios(memory, "pytorch-grad-cam")["graftcam"],
        },
    }  # fmt: skip


IMPORTS = Part((Case("imports"),), _measure_imports)
COLD = Part((Case("cold", "resnet50"),), _measure_cold)
