"""This module verifies artifacts of quantised files: those whose integers stand for numbers.

ONNX Runtime's optimisations give such a file other kernels, which round elsewhere, and the
difference of one step grows from layer to layer. So the proof has two parts:

- Without optimisations, artifact and source compute the same operators in the same order. Values
  must be equal there, and gradients equal finite differences, see `straight_through`.
- At every level that users meet, everything must be equal up to what rounding explains, see
  `rounding`. Gradients are compared with the proven ones.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import onnx_ir as ir

from ...clock import Progress
from ..float64.rounding import rounding_bounds
from ..float64.straight_through import ROUNDING
from ..runs.artifact import Artifact
from ..runs.matrix import Matrix, Truth, first_run
from ..runs.running import Draw
from ..runs.source import open_source
from ..runs.tensors import compare_runs
from ..verdict.deadline import NO_DEADLINE, Deadline
from ..verdict.findings import Finding, InputKind, Verdict, fails
from .finite import (
    QUICK_FILE,
    bound_of,
    check_differences,
    differentiated_layers,
    expected_of,
    float_outputs,
    inputs_of,
)


def verify_quantised(
    artifact: Artifact,
    model: ir.Model,
    source: Path,
    *,
    matrix: Matrix = QUICK_FILE,
    draw: Draw | None = None,
    images: int = 2,
    deadline: Deadline = NO_DEADLINE,
    progress: Progress = lambda step: None,
    everything: bool = False,
) -> Verdict:
    """Compare a quantised artifact with its source, in both parts; arguments as for `verify_file`.

    Raises:
        VerificationError: ONNX Runtime cannot load or run a file, or an input has an unknown type.
    """
    kind: InputKind = "random" if draw is None else "given"
    exact, bound = replace(artifact, level="disable"), bound_of(model.graph)
    firsts = [first_run(exact, feeds, matrix, 0) for feeds in inputs_of(artifact, draw, images)]
    outputs, layers = float_outputs(exact, firsts[0]), differentiated_layers(artifact)
    artifact.close()
    exact.close()
    findings = check_differences(
        exact, model, firsts, layers, bound, kind, deadline=deadline.share(2), progress=progress
    )
    bounds = rounding_bounds(exact, firsts, bound)
    counts = (max(matrix.counts_of(artifact.spec)),)
    once = Matrix(("disable",), (max(len(one.selected) for one in firsts),), counts)
    # The source itself may be of an older opset, whose operators ONNX Runtime computes otherwise.
    values = [Truth(one, expected_of(exact, model, None, (), one), bound) for one in firsts]
    findings += _compared(exact, values, once, kind, deadline)
    for level in matrix.levels:
        if fails(findings) and not everything:
            break
        plain, at = open_source(source, model, level), replace(artifact, level=level)
        truths = [Truth(one, expected_of(at, model, plain, outputs, one), bounds) for one in firsts]
        del plain
        findings += _compared(at, truths, replace(matrix, levels=(level,)), kind, deadline)
    rounds = any(node.op_type in ROUNDING for node in model.graph)
    method = "finite-differences-straight-through" if rounds else "finite-differences"
    return Verdict(findings, method, sum(len(first.selected) for first in firsts))


def _compared(
    artifact: Artifact, truths: Sequence[Truth], matrix: Matrix, inputs: InputKind,
    deadline: Deadline,
) -> list[Finding]:  # fmt: skip
    tallies = compare_runs(artifact, truths, matrix, inputs, deadline)
    return [finding for tally in tallies for finding in tally.findings()]
