"""These parts measure what a process pays once: imports, and the time to its first map."""

from __future__ import annotations

from functools import partial

import cv2
import numpy as np
import torch

from graftcam.runtime.session.optimize import optimize

from ..book import Row
from ..spawn import spawn
from ..subjects import Subjects, module
from ..timing import gather, ratio, ratios, spreads
from .part import Case

_LIBRARIES = "import onnxruntime, cv2, numpy"
# The package loads its names on first use, so that its import alone says little.
_STATEMENTS = {
    "libraries": _LIBRARIES,
    "package": "import graftcam.runtime",
    "all": f"from graftcam.runtime import Explainer; {_LIBRARIES}",
    "opened": f"import graftcam.runtime.explain.steps; {_LIBRARIES}",
}


def _measure_imports(case: Case, subjects: Subjects) -> Row:
    runs = {
        name: partial(spawn, "import_time", statement=statement)
        for name, statement in _STATEMENTS.items()
    }
    times = gather(runs, case.rounds)["ms"]
    return {"values": spreads(times), "ratios": ratios(times, "libraries")}


def _measure_cold(case: Case, subjects: Subjects) -> Row:
    """From a process's start to its first map, from an image's file; and its peak memory."""
    artifact, plain = subjects.artifact(case.model), subjects.plain(case.model)
    weights, image, here = (
        subjects.file(case.model, name) for name in ("weights.pt", "it.png", "here.onnx")
    )
    torch.save(module(case.model).state_dict(), weights)
    cv2.imwrite(str(image), np.random.default_rng(0).integers(0, 256, (300, 400, 3), np.uint8))
    optimize(artifact.path, here, "cpu")
    run = partial(spawn, threads=subjects.threads)
    loads = {
        name: partial(run, "load_time", path=path)
        for name, path in (("artifact", artifact.path), ("optimised", here), ("plain", plain))
    }
    loading = gather(loads, case.rounds)["ms"]
    ours = partial(run, "first_map_graftcam", image=image)
    firsts = {
        "graftcam": partial(ours, path=artifact.path),
        "optimised": partial(ours, path=here),
        "pytorch-grad-cam": partial(
            run, "first_map_peer", weights=weights, image=image, layer=artifact.layer
        ),
        "bare": partial(run, "first_prediction", path=plain),
    }
    found = gather(firsts, case.rounds)
    times, memory = found["ms"], found["mb"]
    return {
        "layer": artifact.layer,
        "values": spreads(times, 0)
        | {f"{name} MB": value for name, value in spreads(memory, 0).items()}
        | {f"load {name}": value for name, value in spreads(loading, 0).items()},
        "ratios": {
            "optimised": ratio(times, "optimised", "graftcam"),
            "bare": ratio(times, "graftcam", "bare"),
            "time": ratio(times, "graftcam", "pytorch-grad-cam"),
            "memory": ratio(memory, "graftcam", "pytorch-grad-cam"),
        },
    }


IMPORTS = [Case("imports", _measure_imports, 15)]
COLD = [Case("cold", _measure_cold, 7, "resnet50")]
