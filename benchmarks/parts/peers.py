"""This part compares the explained run with PyTorch's forward and with Grad-CAM packages."""

from __future__ import annotations

from ..book import Row
from ..runs import batch
from ..session import open_session
from ..subjects import MODELS, Subjects, module
from ..timing import Run, measure, ratios, spreads
from ..torch_peers import compare, forward, peers
from .part import Case


def _measure(case: Case, subjects: Subjects) -> Row:
    """Same images, layer and class; a package whose maps are not ours is not timed."""
    artifact, model = subjects.artifact(case.model), module(case.model)
    pixels, target = batch(case.images), subjects.shown_class(artifact)
    session, feeds = open_session(artifact.path, subjects.threads), artifact.feeds(pixels, [target])
    layer = artifact.spec.layers[0]
    ours = session.run([layer.heatmap], feeds)[0][:, 0]
    runs: dict[str, Run] = {
        "explained": lambda: session.run(artifact.fetched, feeds),
        "torch": forward(model, pixels),
    }
    left_out: dict[str, str] = {}
    for name, make in peers(model, layer, pixels, target).items():
        try:
            run = make()
            if different := compare(run(), ours):
                left_out[name] = different
            else:
                runs[name] = run
        except Exception as error:  # packages differ in what they refuse, and in how
            left_out[name] = f"{type(error).__name__}: {(str(error).splitlines() or [''])[0]}"
    times = measure(runs, case.rounds, warm_ups=1)
    return {
        "layer": artifact.layer, "values": spreads(times), "ratios": ratios(times, "explained"),
        "left_out": left_out,
    }  # fmt: skip


PEERS = [
    Case("peers", _measure, rounds, model, images=images)
    for model in MODELS
    for images, rounds in ((1, 9), (8, 4))
]
