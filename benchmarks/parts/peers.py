"""This part compares the explained run with PyTorch's forward and with Grad-CAM packages."""

from __future__ import annotations

from ..book import Case, Row
from ..runs import batch
from ..subjects import MODELS
from ..timing import Run, measure, ratios, spreads
from ..torch_peers import compare, forward, peers
from ..truth import open_session
from .part import Bench, Part

_ROUNDS = {1: 9, 8: 4}


def _measure(case: Case, bench: Bench) -> Row:
    """Same images, layer and class; a package whose maps are not ours is not timed."""
    subjects, rounds = bench.subjects, bench.rounds(_ROUNDS[case.images])
    artifact, module = subjects.artifact(case.model), subjects.module(case.model)
    pixels, target = batch(case.images), subjects.shown_class(artifact)
    session, feeds = open_session(artifact.path, bench.threads), artifact.feeds(pixels, [target])
    layer = artifact.spec.layers[0]
    ours = session.run([layer.heatmap], feeds)[0][:, 0]
    runs: dict[str, Run] = {
        "explained": lambda: session.run(artifact.fetched, feeds),
        "torch": forward(module, pixels),
    }
    left_out: dict[str, str] = {}
    for name, make in peers(module, layer, pixels, target).items():
        try:
            run = make()
            reason = compare(run(), ours)
        except Exception as error:  # packages differ in what they refuse, and in how
            reason = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
        if reason:
            left_out[name] = reason
        else:
            runs[name] = run
    times = measure(runs, rounds, warm_ups=1)
    return {
        "model": case.model, "layer": artifact.layer, "images": case.images, "rounds": rounds,
        "values": spreads(times), "ratios": ratios(times, "explained"), "left_out": left_out,
    }  # fmt: skip


PEERS = Part(
    tuple(Case("peers", model, images=images) for model in MODELS for images in _ROUNDS), _measure
)
