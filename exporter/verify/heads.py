"""This module writes heads, and compares them with the artifact that they were cut from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...runtime.custody.digests import record_heads
from ...runtime.spec import Layer, Spec, Verification
from ..artifact.head import Head
from ..artifact.save import save, write_record
from ..capture.onnx_file import Captured
from ..errors import VerificationError
from .checks.finite import bound_of
from .float64.straight_through import is_quantised
from .runs.artifact import Artifact
from .runs.embedded import Embedded
from .runs.inputs import random_inputs
from .runs.running import Tensors
from .verdict.compare import relative_errors, three_digits

_IMAGES = 4
_SEED = 0


def write_heads(
    heads: Sequence[Head], spec: Spec, captured: Captured, path: Path, *, verify: bool
) -> None:
    """Write heads beside the artifact ``path``, and compare them with it if ``verify``.

    The artifact gets their digests.

    Raises:
        VerificationError: A head gives other scores or gradients than the artifact.
        WriteError: A file cannot be written.
    """
    # A quantised head is rounded otherwise than the artifact where both are optimised.
    level = "disable" if is_quantised(captured.model.graph) else "all"
    own = [Artifact(path.with_name(h.record.file), h.spec, level=level) for h in heads]
    for head, written in zip(heads, own, strict=True):
        save(head.model, head.spec, written.path)
    record_heads(path, [one.path for one in own])
    if not verify:
        return
    artifact = Artifact(path, spec, Embedded.of(captured.model, spec), level)
    feeds = random_inputs(artifact, captured.inputs or ())(_IMAGES, 0, _SEED)
    bound, layers = bound_of(captured.model.graph), spec.layers
    runs = [{**feeds, **replace(artifact, spec=one).run(feeds)} for one in spec.by_output()]
    artifact.close()
    for head, written, layer in zip(heads, own, layers, strict=True):
        about = [replace(written, spec=one) for one in head.spec.by_output()]
        pairs = zip(about, runs, strict=True)
        verdicts = [_verify(head, one, spec, layer, whole, bound) for one, whole in pairs]
        verdict = max(verdicts, key=lambda one: max(one.errors.values()))
        write_record(replace(head.spec, verification=verdict), written.path)


def _verify(
    head: Head, written: Artifact, spec: Spec, layer: Layer, whole: Tensors, bound: float
) -> Verification:
    """Feed a head what the artifact gives for random inputs; scores and gradients must agree.

    Both compute the same operators, but ONNX Runtime may fuse them differently. Where that flips a
    kink on one image, the median over the images is not affected. Scores have no jumps.
    """
    own = head.spec
    taken = {name: whole[source] for name, source in head.record.inputs.items() if source in whole}
    assert spec.classes is not None  # a score without classes has no head
    found = written.run({**taken, own.selector: whole[spec.classes]})
    scores = relative_errors(found[own.scores], whole[spec.scores])
    gradients = relative_errors(found[own.layers[0].gradients], whole[layer.gradients])
    errors = {
        own.scores: three_digits(float(scores.max(initial=0.0))),
        own.layers[0].gradients: three_digits(float(np.median(gradients))),
    }
    wrong = [f"{name}: error {error:.1e}" for name, error in errors.items() if not error <= bound]
    if wrong:
        raise VerificationError(
            f"the head of layer {layer.name!r} disagrees with the artifact, nothing was written: "
            f"{'; '.join(wrong)} (bound {bound:.0e}); leave 'head' out of extras"
        )
    count = len(whole[spec.classes])
    return Verification("pass", "artifact", count, _SEED, errors, dict.fromkeys(errors, bound))
