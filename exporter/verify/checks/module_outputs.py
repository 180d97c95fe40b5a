"""This module verifies detectors of PyTorch whose own outputs do not show boxes and scores.

Distributions of distances and heat maps of centres are decoded in the artifact only: PyTorch has
nothing to differentiate. Its outputs are compared with the module's, and gradients with finite
differences.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from ...artifact.strip import write_plain
from ...clock import Progress
from ..runs.artifact import Artifact
from ..runs.inputs import random_inputs
from ..runs.matrix import Matrix
from ..runs.running import Array, Draw
from ..verdict.compare import compare, three_digits
from ..verdict.deadline import Deadline
from ..verdict.findings import Finding, Verdict
from .finite import verify_file

if TYPE_CHECKING:
    import torch

    from ...source.torch_inputs import ModuleInputs

_IMAGES = 2


def verify_undecoded(
    artifact: Artifact, model: ir.Model, module: torch.nn.Module,
    examples: ModuleInputs | Sequence[Any], *,
    matrix: Matrix, draw: Draw | None, images: int, deadline: Deadline, progress: Progress,
) -> Verdict:  # fmt: skip
    """Compare outputs with the module's, and everything else as for a file.

    Args:
        artifact: The artifact.
        model: The graph that it was made from.
        module: The module behind it.
        examples: Example inputs of the module.
        matrix: Which runs are made.
        draw: Makes the inputs; random ones by default.
        images: Number of inputs.
        deadline: When to end.
        progress: Called with the name of each step as it begins.
    """
    outputs = _compare_outputs(artifact, module, examples, draw)
    with tempfile.TemporaryDirectory(prefix="graftcam-") as folder:
        plain = Path(folder) / "plain.onnx"
        write_plain(artifact.path, plain)
        verdict = verify_file(
            artifact, model, plain, matrix=matrix, draw=draw, images=images, deadline=deadline,
            progress=progress,
        )  # fmt: skip
    return Verdict([*outputs, *verdict.findings], verdict.reference, verdict.images)


def _compare_outputs(
    artifact: Artifact,
    module: torch.nn.Module,
    examples: ModuleInputs | Sequence[Any],
    draw: Draw | None,
) -> list[Finding]:
    """The model's own outputs beside PyTorch's, in float64 and in its own precision."""
    import torch

    from ...source.own_copy import own_copy
    from ...source.torch_inputs import ModuleInputs
    from ...source.torch_outputs import tensors_of

    make = draw or random_inputs(artifact, examples)
    feeds = make(artifact.batch or _IMAGES, 0, 0)
    results = artifact.run({**feeds, artifact.spec.selector: np.zeros((1, 0), np.int64)})
    given = ModuleInputs.of(examples).with_tensors(
        [torch.from_numpy(array) for array in artifact.source_feeds(feeds).values()]
    )
    found: list[list[Array]] = []
    for dtype in (torch.float64, None):
        tensors = [x if dtype is None else x.to(dtype) for x in given.tensors]
        with torch.no_grad():
            leaves = tensors_of(given.with_tensors(tensors).call(own_copy(module, dtype)))
        found.append([leaf.numpy() for leaf in leaves])
    findings = list[Finding]()
    for name, truth, own in zip(artifact.outputs, *found, strict=True):
        check = compare(name, results[name], truth, own)
        error, bound = three_digits(float(check.errors.max())), three_digits(check.bound)
        reason = "" if check.passed else f"error {error:.1e} (bound {bound:.1e})"
        status = "fail" if reason else "pass"
        findings.append(Finding("outputs", name, status, error, bound, reason, artifact.level))
    return findings
