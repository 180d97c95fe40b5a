"""This module tells an engine's rounding from its faults, where gradients jump.

Engines round otherwise: one that multiplies in another order is off by 1e-5 where ONNX Runtime is
off by 1e-6. Where a ReLU lies so near its kink, its gradient then jumps by 1e-2, rightly: it is the
gradient at a place that is 1e-5 away. How far ONNX Runtime's own gradients go when the inputs move
its values by as much as the engine's differ says what rounding alone explains. A fault of the
engine is larger, or moves the values themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from ..runs.artifact import Artifact
from ..runs.matrix import QUICK, FirstRun, first_run
from ..runs.running import Array, Draw, Tensors
from ..verdict.compare import CEILING, SLACK, relative_errors
from ..verdict.findings import Finding
from .engine_noise import forward_values

_ROUNDED = 1e-3  # values that differ by more are no rounding in float32
_IMAGES, _NUDGES = 8, 6
_TRIAL = 1e-6  # of an input's size: a first nudge, whose effect tells how large the others are
_SLOPES = ("gradients", "heatmap")


def excuse_kinks(
    artifact: Artifact, usual: Artifact, draw: Draw, findings: Sequence[Finding]
) -> list[Finding]:
    """The findings, of which those pass that rounding at kinks explains.

    Args:
        artifact: The artifact on the engine.
        usual: The same on ONNX Runtime's CPU, which has been proven.
        draw: Makes the inputs.
        findings: Of the engine.
    """
    failed = [one for one in findings if one.status == "fail"]
    if not failed or any(one.check not in _SLOPES for one in failed):
        return [*findings]
    step = artifact.batch or _IMAGES
    firsts = [
        first_run(usual, draw(step, 0, seed), QUICK, seed) for seed in range(0, _IMAGES, step)
    ]
    parts = [_errors(artifact, usual, first, {one.subject for one in failed}) for first in firsts]
    found = list[Finding]()
    for one in findings:
        if one.status == "fail":
            errors, moved = (
                np.concatenate([part[one.subject][which] for part in parts]) for which in (0, 1)
            )
            one = _judged(one, float(np.median(errors)), float(np.median(moved)))
        found.append(one)
    return found


def _judged(finding: Finding, error: float, moved: float) -> Finding:
    bound = min(CEILING, SLACK * moved)
    if not error <= bound:
        return finding
    reason = (
        f"kinks: the engine's rounding explains it (as large a change of the values moves ONNX "
        f"Runtime's by {moved:.1e})"
    )
    return replace(
        finding, status="pass", value=error, threshold=bound, reason=reason, largest=None
    )


def _errors(
    artifact: Artifact, usual: Artifact, first: FirstRun, subjects: set[str]
) -> dict[str, tuple[Array, Array]]:
    """By output and image, how far the engine is off, and how far nudged inputs are."""
    request = artifact.request(first.selected)
    theirs = artifact.run({**first.feeds, **request}, first.region)
    forward = [name for name in forward_values(artifact) if first.results[name].size]
    size = _largest(theirs, first.results, forward)

    def nudged(sizes: Array, seed: int) -> Tensors:
        moved = _nudged(first.feeds, artifact.batched, sizes, seed)
        return usual.run({**moved, **request}, first.region)

    trial = _largest(nudged(np.full(size.shape, _TRIAL), 0), first.results, forward)
    # Values that are off by more than rounding explain nothing.
    allowed = (size <= _ROUNDED) & (trial > 0)
    sizes = np.where(allowed, _TRIAL * size / np.where(trial > 0, trial, 1), 0)
    runs = [nudged(sizes, seed) for seed in range(1, 1 + _NUDGES)]
    expected = first.results
    return {
        name: (
            relative_errors(theirs[name], expected[name]),
            np.max([relative_errors(run[name], expected[name]) for run in runs], axis=0),
        )
        for name in subjects
    }


def _largest(results: Tensors, expected: Tensors, names: Sequence[str]) -> Array:
    """By image, the largest relative error of some outputs."""
    return np.max([relative_errors(results[name], expected[name]) for name in names], axis=0)


def _nudged(feeds: Tensors, batched: set[str], sizes: Array, seed: int) -> Tensors:
    """The inputs, each image's moved at random by ``sizes`` of its own length."""
    rng, found = np.random.default_rng(seed), dict[str, Array]()
    for name, value in feeds.items():
        found[name] = value
        if value.dtype.kind == "f" and name in batched and len(value) == len(sizes):
            noise = rng.standard_normal(value.shape)
            spread = np.abs(value).reshape(len(value), -1).mean(axis=1) * sizes
            moved = value + noise * spread.reshape(-1, *[1] * (value.ndim - 1))
            found[name] = moved.astype(value.dtype)
    return found
