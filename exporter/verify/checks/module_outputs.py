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
from ...errors import VerificationError
from ..runs.artifact import Artifact
from ..runs.inputs import random_inputs
from ..runs.matrix import Matrix
from ..runs.running import Draw, Tensors
from ..verdict.compare import compare
from ..verdict.deadline import Deadline
from ..verdict.findings import Finding, Verdict, compared, fails
from .finite import verify_file

if TYPE_CHECKING:
    import torch

    from ...source.torch_inputs import ModuleInputs

_IMAGES = 2


def verify_undecoded(
    artifact: Artifact, model: ir.Model, module: torch.nn.Module,
    examples: ModuleInputs | Sequence[Any], *,
    matrix: Matrix, draw: Draw | None, images: int, deadline: Deadline, progress: Progress,
    everything: bool = False,
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
        everything: Compare the rest even if the outputs are wrong.
    """
    outputs = _compare_outputs(artifact, module, examples, draw)
    if fails(outputs) and not everything:
        return Verdict(outputs, "finite-differences")
    with tempfile.TemporaryDirectory(prefix="graftcam-") as folder:
        plain = Path(folder) / "plain.onnx"
        write_plain(artifact.path, plain)
        verdict = verify_file(
            artifact, model, plain, matrix=matrix, draw=draw, images=images, deadline=deadline,
            progress=progress, everything=everything,
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

    make = draw or random_inputs(artifact, examples)
    feeds = make(artifact.batch or _IMAGES, 0, 0)
    results = artifact.run({**feeds, artifact.spec.selector: np.zeros((1, 0), np.int64)})
    truth = outputs_of(artifact, module, examples, feeds, torch.float64)
    own = outputs_of(artifact, module, examples, feeds)
    checks = [compare(name, results[name], truth[name], own[name]) for name in artifact.outputs]
    return [compared("outputs", one, level=artifact.level) for one in checks]


def outputs_of(
    artifact: Artifact, module: torch.nn.Module, examples: ModuleInputs | Sequence[Any],
    feeds: Tensors, dtype: torch.dtype | None = None,
) -> Tensors:  # fmt: skip
    """What a module gives for inputs of an artifact, by the names that its outputs have there.

    Args:
        artifact: The artifact.
        module: The module that it was made from.
        examples: Example inputs of the module.
        feeds: The artifact's inputs by name.
        dtype: The precision to compute in; the module's own by default.

    Raises:
        VerificationError: It gives more or fewer tensors than the artifact.
    """
    import torch

    from ...source.own_copy import own_copy
    from ...source.torch_inputs import ModuleInputs
    from ...source.torch_outputs import tensors_of

    tensors = [torch.from_numpy(array) for array in artifact.source_feeds(feeds).values()]
    given = ModuleInputs.of(examples).with_tensors(
        [x if dtype is None or not x.is_floating_point() else x.to(dtype) for x in tensors]
    )
    with torch.no_grad():
        leaves = tensors_of(given.call(own_copy(module, dtype)))
    if len(leaves) != len(artifact.outputs):
        raise VerificationError(
            f"the source gives {len(leaves)} tensors, the artifact has {artifact.outputs}"
        )
    return dict(zip(artifact.outputs, (leaf.numpy() for leaf in leaves), strict=True))
