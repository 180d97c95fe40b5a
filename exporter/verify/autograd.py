"""This module compares an artifact with PyTorch autograd in float64."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ..graph.infer_shapes import GROWTH
from .artifact import Artifact
from .findings import Verdict
from .inputs import random_inputs
from .matrix import QUICK, Matrix, Truth, first_run
from .running import Draw
from .tensors import Tally, by_name, compare_runs

if TYPE_CHECKING:
    import torch

    from ..source.torch_inputs import ModuleInputs

ATTEMPTS = (4, 12, 36)
_CHUNK = 4  # images at a time, to bound the memory of the float64 pass
_ONE_SIZE = 2  # the same for artifacts that take images of any size, which differs between chunks


def verify_module(
    artifact: Artifact,
    module: torch.nn.Module,
    examples: ModuleInputs | Sequence[Any],
    *,
    matrix: Matrix = QUICK,
    draw: Draw | None = None,
    attempts: Sequence[int] = ATTEMPTS,
) -> Verdict:
    """Run artifact and PyTorch on the same inputs and compare all outputs.

    Whether a kink flips on an image is chance, for the artifact as for PyTorch itself. So a
    comparison that fails on a few images is repeated on more: chance averages out, errors stay.

    Args:
        artifact: The artifact.
        module: The model that it was made from.
        examples: Example inputs, whose shapes and types the random ones take.
        matrix: Which runs are made.
        draw: Makes the inputs; random ones like the examples by default.
        attempts: Number of inputs in each attempt, and for each of two sizes where the artifact
            leaves the size open.

    Raises:
        VerificationError: ONNX Runtime cannot load or run the artifact.
    """
    import torch

    from ..source.torch_inputs import ModuleInputs
    from .torch_reference import Reference

    spec, outputs = artifact.spec, artifact.outputs
    given = ModuleInputs.of(examples)
    make = draw or random_inputs(artifact, given)
    step = _CHUNK if artifact.inside is None else 1 if draw else _ONE_SIZE
    step = artifact.batch or step
    sizes = (0, GROWTH) if draw is None and artifact.open_sizes else (0,)
    references = [
        Reference(module, spec.layers, dtype, artifact=artifact, of_input=list(spec.of_input))
        for dtype in (torch.float64, None)
    ]
    tallies, truths = list[Tally](), list[Truth]()
    for attempt, count in enumerate(attempts):
        truths = []
        for grown, start in itertools.product(sizes, range(0, count, step)):
            seed = 1000 * attempt + start
            first = first_run(artifact, make(min(step, count - start), grown, seed), matrix, seed)
            arrays = first.source.values()
            arguments = given.with_tensors([torch.from_numpy(array) for array in arrays])
            found = (reference(arguments, *first.doubled) for reference in references)
            truths.append(Truth(first, *(by_name(one, spec, outputs) for one in found)))
        kind = "random" if draw is None else "given"
        tallies = compare_runs(artifact, truths, matrix, kind)
        if all(tally.passed for tally in tallies):
            break
    findings = [finding for tally in tallies for finding in tally.findings()]
    return Verdict(findings, "autograd-float64", sum(len(one.first.selected) for one in truths))
