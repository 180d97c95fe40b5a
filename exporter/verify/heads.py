"""This module writes heads, and compares them with the artifact that they were cut from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from ...runtime.spec import Layer, Spec, Verification
from ..artifact.head import Head
from ..artifact.save import save, write_record
from ..capture.onnx_file import Captured
from ..errors import VerificationError
from . import load_session, relative_errors, run_session, three_digits
from .embedded import Embedded
from .finite import bound_of, random_file
from .inputs import random_like
from .running import Tensors, required_feeds

_IMAGES = 4
_SEED = 0


def write_heads(
    heads: Sequence[Head], spec: Spec, captured: Captured, artifact: Path, *, verify: bool
) -> None:
    """Write heads beside ``artifact``, and compare them with it if ``verify``.

    Raises:
        VerificationError: A head gives other scores or gradients than the artifact.
        WriteError: A file cannot be written.
    """
    for head, layer in zip(heads, spec.layers, strict=True):
        path = artifact.with_name(head.record.file)
        save(head.model, head.spec, path)
        if verify:
            verdict = _verify(head, path, spec, layer, captured, artifact)
            write_record(replace(head.spec, verification=verdict), path)


def _verify(
    head: Head,
    path: Path,
    spec: Spec,
    layer: Layer,
    captured: Captured,
    artifact: Path,
) -> Verification:
    """Feed a head what the artifact gives for random inputs; scores and gradients must agree.

    Both compute the same operators, but ONNX Runtime may fuse them differently. Where that flips a
    kink on one image, the median over the images is not affected. Scores have no jumps.
    """
    feeds = _feeds(spec, captured, artifact)
    whole = {**feeds, **run_session(load_session(artifact), feeds)}
    session, own = load_session(path), head.spec
    taken = {name: whole[source] for name, source in head.record.inputs.items() if source in whole}
    assert spec.classes is not None  # a score without classes has no head
    selected = {own.selector: whole[spec.classes]}
    found = run_session(session, {**required_feeds(session, own), **taken, **selected})
    scores = relative_errors(found[own.scores], whole[spec.scores])
    gradients = relative_errors(found[own.layers[0].gradients], whole[layer.gradients])
    errors = {
        own.scores: three_digits(float(scores.max(initial=0.0))),
        own.layers[0].gradients: three_digits(float(np.median(gradients))),
    }
    bound = bound_of(captured.model.graph)
    wrong = {name: error for name, error in errors.items() if not error <= bound}
    if wrong:
        raise VerificationError(
            f"the head of layer {layer.name!r} disagrees with the artifact, nothing was written: "
            + "; ".join(f"{name}: error {error:.1e}" for name, error in wrong.items())
            + f" (bound {bound:.0e}); leave 'head' out of extras"
        )
    count = len(whole[spec.classes])
    return Verification("pass", "artifact", count, _SEED, errors, dict.fromkeys(errors, bound))


def _feeds(spec: Spec, captured: Captured, artifact: Path) -> Tensors:
    """Random inputs of the artifact, and the classes to explain."""
    session, of_file = load_session(artifact), captured.module is None
    draw = random_file(session, spec) if of_file else random_like(session, captured.inputs)
    inside = Embedded.of(captured.model, spec)
    draw = draw if inside is None else inside.random(draw)
    return {**required_feeds(session, spec), **draw(_IMAGES, 0, _SEED)}
