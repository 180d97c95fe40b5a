"""This module checks that inputs suit the model: that its own outputs are finite there.

A logarithm of random numbers is NaN, and an exponential of large ones infinite, in the source as in
the artifact. Nothing can be compared there, and the artifact is not at fault.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from ..runs.artifact import Artifact
from ..runs.running import Array, Tensors
from ..verdict.findings import Finding, InputKind


def check_fit(
    artifact: Artifact, source: Callable[[Tensors], Tensors], feeds: Tensors, kind: InputKind
) -> Finding | None:
    """Compare where the model's own outputs are not finite with where the source's are not.

    Args:
        artifact: The artifact.
        source: Gives the source's outputs, by the artifact's names, for inputs of the artifact.
        feeds: The model's own inputs.
        kind: Of the inputs.

    Returns:
        Which output is not finite for how many inputs, if the source's is not either; else None.
    """
    results = artifact.run({**feeds, **artifact.choose(feeds, 0, 1)})
    beyond = {name: _beyond(results[name]) for name in artifact.outputs}
    found = {name: rows for name, rows in beyond.items() if rows.any()}
    if not found:
        return None
    expected = source(feeds)
    for name, rows in found.items():
        if name in expected and np.array_equal(_beyond(expected[name]), rows):
            what = "random inputs" if kind == "random" else "images"
            reason = (
                f"the model's own output {name!r} is infinite or NaN for {rows.sum()} of "
                f"{len(rows)} {what}, in the source as in the artifact: nothing can be compared "
                "there; give images that suit the model with --images, and their preprocessing"
            )
            return Finding("outputs", name, "unproven", reason=reason, inputs=kind)
    return None


def _beyond(value: Array) -> Array:
    """By image, whether an output has NaN or infinities, but for a -inf that all images have.

    By -inf a model masks classes that it never predicts.
    """
    if value.dtype.kind != "f" or not value.ndim:
        return np.zeros(0, bool)
    masked = (value == -np.inf).all(axis=0, keepdims=True)
    wrong = ~np.isfinite(value) & ~masked
    return wrong.reshape(len(value), -1).any(axis=1)
