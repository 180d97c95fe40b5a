"""This module compares gradients on images of one colour, where scores have kinks and norms vanish.

There a score may have several slopes: of a maximum that two places reach, of an activation at its
bound. Artifact and PyTorch may then differ, by their choice or by rounding, and neither is wrong.
What is wrong: a gradient that is not finite where PyTorch's is, and one that differences of the
module's scores refute.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from ....runtime.spec import Layer
from ..runs.artifact import Artifact
from ..runs.matrix import FirstRun, Truth
from ..runs.running import Array
from ..verdict.compare import SLACK, relative_errors
from ..verdict.deadline import Deadline
from ..verdict.findings import Finding, Status
from .engine_noise import forward_values
from .judge import BOUND, judge

if TYPE_CHECKING:
    from ...source.torch_inputs import ModuleInputs
    from .torch_reference import Reference

_JUDGING = 20.0  # seconds a layer for finite differences
_WHERE = "on images of one colour, or the example inputs,"


def compare_flat(
    reference: Reference, arguments_of: Callable[[FirstRun], ModuleInputs], artifact: Artifact,
    places: Mapping[str, Layer], truths: Sequence[Truth],
) -> list[Finding]:  # fmt: skip
    """Compare the gradients of these runs with autograd's.

    Images whose forward values differ are left out: a model that selects by size meets ties.

    Args:
        reference: PyTorch in float64.
        arguments_of: The module's inputs of a run.
        artifact: The artifact.
        places: The layers whose gradients are compared, by the gradient's name.
        truths: The runs.
    """
    forward, findings = forward_values(artifact), list[Finding]()
    for name, layer in places.items() if truths else ():
        status: Status = "pass"
        reasons, worst, largest = list[str](), truths[0], 0.0
        for truth in truths:
            alike = _alike(truth, forward)[:, None]
            own, theirs = _finite(truth.first.results[name]), _defined(truth, name)
            if (alike & theirs & ~own).any():
                status = "fail"
                reasons.append(f"{_WHERE} the gradient is not finite, where PyTorch's is")
            if (alike & ~theirs).any():
                reasons.append(f"{_WHERE} PyTorch's own gradient is not finite")
            apart, error = _apart(truth, name, alike & own & theirs)
            worst, largest = (apart, error) if error > largest else (worst, largest)
        if largest:
            given = arguments_of(worst.first)
            made = judge(reference, given, worst, layer, Deadline(_JUDGING))
            status = "fail" if made.right == "autograd" else status
            off = f"error {largest:.1e} beside PyTorch autograd"
            reasons.append(f"{_WHERE} {off}, where {made.reason}")
        reason = "; ".join(dict.fromkeys(reasons))
        level = artifact.level
        findings.append(Finding("gradients", name, status, None, None, reason, level, "flat"))
    return findings


def _alike(truth: Truth, names: Collection[str]) -> Array:
    """By image, whether artifact and module computed the same forward values."""
    results, own = truth.first.results, truth.own
    assert isinstance(own, dict)
    images = len(truth.first.selected)
    found = np.ones(images, bool)
    for name in names:
        value, expected = results[name], truth.expected[name]
        if value.shape == expected.shape and len(value) == images and value.dtype.kind == "f":
            rounding = SLACK * relative_errors(own[name], expected)
            found &= relative_errors(value, expected) <= np.maximum(BOUND, rounding)
    return found


def _finite(gradients: Array) -> Array:
    """By image and class, whether all numbers are finite."""
    return np.asarray(np.isfinite(gradients.reshape(*gradients.shape[:2], -1)).all(2))


def _defined(truth: Truth, name: str) -> Array:
    """By image and class, whether PyTorch's gradient is finite, in both precisions."""
    assert isinstance(truth.own, dict)
    return _finite(truth.expected[name]) & _finite(truth.own[name])


def _apart(truth: Truth, name: str, compared: Array) -> tuple[Truth, float]:
    """The run with zeros for all gradients that agree, or are not compared; the largest error."""
    results, expected, own = truth.first.results, truth.expected, truth.own
    assert isinstance(own, dict)

    def only(gradients: Array, kept: Array) -> Array:
        return np.where(kept.reshape(*kept.shape, *[1] * (gradients.ndim - 2)), gradients, 0)

    sides = [only(side[name], compared) for side in (results, expected, own)]
    errors = relative_errors(sides[0], sides[1])
    bounds = np.maximum(BOUND, SLACK * relative_errors(sides[2], sides[1]))
    off = compared & (errors > bounds)[:, None]
    first = replace(truth.first, results=results | {name: only(sides[0], off)})
    made = replace(truth, first=first, expected=expected | {name: only(sides[1], off)})
    return made, float(errors[off.any(1)].max(initial=0.0))
