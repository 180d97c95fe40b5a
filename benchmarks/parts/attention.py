"""This part compares the methods of attention with the plain export and with PyTorch."""

from __future__ import annotations

from ..book import Row
from ..runs import batch, explained_runs, plain_run
from ..subjects import Subjects, module
from ..timing import Run, measure, ratios, spreads
from ..torch_peers import forward, peers
from .part import Case

_METHODS = ("rollout", "legrad", "gradient-rollout", "grad-eclip")
_MODELS = ("vit_b_16", "timm:vit_small_patch16_224")
_ROUNDS = 15


def _measure(case: Case, subjects: Subjects) -> Row:
    """Ratios to the plain forward: Grad-CAM at the automatic layer, and each method's map."""
    pixels, threads = batch(case.images), subjects.threads
    gradcam = subjects.artifact(case.model)
    runs: dict[str, Run] = {
        "plain": plain_run(subjects.plain(case.model), pixels, threads),
        **explained_runs(gradcam, pixels, {"gradcam": 1}, threads),
    }
    for method in _METHODS:
        artifact = subjects.artifact(case.model, extra=method)
        counts = {method: 1, **({"predict": 0} if method == "legrad" else {})}
        runs |= explained_runs(artifact, pixels, counts, threads)
    model, layer = module(case.model), gradcam.spec.layers[0]
    runs["torch"] = forward(model, pixels)
    runs["pytorch-grad-cam"] = peers(model, layer, pixels, 0)["pytorch-grad-cam"]()
    times = measure(runs, case.rounds)
    return {"values": spreads(times), "ratios": ratios(times, "plain")}


ATTENTION = [Case("attention", _measure, _ROUNDS, model, images=1) for model in _MODELS]
