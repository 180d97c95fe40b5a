"""This module measures ONNX Runtime's own rounding, where it is larger than PyTorch's.

Long sums (a convolution with kernels of 64 places over 1,024 channels) are added up in another
order at each optimisation level. How far two levels differ is the engine's rounding error; a fault
of the artifact is the same at both, and stays one.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

import numpy as np

from ..runs.artifact import Artifact
from ..runs.matrix import Truth
from ..runs.running import Array
from ..verdict.compare import relative_errors

_OTHER = "disable"  # the level without fused or blocked kernels


def forward_values(artifact: Artifact) -> set[str]:
    """Names of the outputs that no gradient enters."""
    spec = artifact.spec
    return {*artifact.outputs, spec.scores, *(layer.activations for layer in spec.layers)}


def with_engine_noise(
    artifact: Artifact, truths: Sequence[Truth], names: Collection[str]
) -> list[Truth]:
    """The truths, whose own errors are at least those between two levels of ONNX Runtime.

    Args:
        artifact: The artifact.
        truths: With the reference's own values.
        names: What to measure, of `forward_values`.
    """
    other = replace(artifact, level=_OTHER)
    # Another engine is measured by ONNX Runtime's rounding, not by how far it is off itself.
    usual = artifact.on_cpu
    found = list[Truth]()
    for truth in truths:
        first = truth.first
        feeds = {**first.feeds, **artifact.request(first.selected)}
        one = first.results if usual is artifact else usual.run(feeds, first.region)
        again = other.run(feeds, first.region)
        assert isinstance(truth.own, dict)
        own = dict(truth.own)
        for name in names:
            noise = one[name].astype(np.float64) - again[name]
            own[name] = _larger(truth.expected[name], own[name], truth.expected[name] + noise)
        found.append(replace(truth, own=own))
    return found


def _larger(expected: Array, one: Array, other: Array) -> Array:
    """By image, the values that lie further from the expected ones."""
    further = relative_errors(other, expected) > relative_errors(one, expected)
    return np.where(further.reshape(-1, *[1] * (expected.ndim - 1)), other, one)
