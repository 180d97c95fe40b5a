"""This module compares an artifact with PyTorch autograd in float64."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from ...runtime.spec import Spec
from ..capture.trial_sizes import GROWTH
from .embedded import Embedded
from .findings import Finding, Verdict
from .inputs import Draw, random_like
from .matrix import QUICK, Matrix, Truth, first_run, runs
from .running import Tensors, fixed_batch, image_index, load_session, open_sizes
from .tensors import Tally, by_name

if TYPE_CHECKING:
    import torch

ATTEMPTS = (4, 12, 36)
_CHUNK = 4  # images at a time, to bound the memory of the float64 pass
_ONE_SIZE = 2  # the same for artifacts that take images of any size, which differs between chunks


def verify_module(
    artifact: Path,
    spec: Spec,
    module: torch.nn.Module,
    examples: Sequence[Any],
    outputs: Sequence[str],
    *,
    matrix: Matrix = QUICK,
    draw: Draw | None = None,
    attempts: Sequence[int] = ATTEMPTS,
    seed: int = 0,
    inside: Embedded | None = None,
) -> Verdict:
    """Run artifact and PyTorch on the same inputs and compare all outputs.

    Whether a kink flips on an image is chance, for the artifact as for PyTorch itself. So a
    comparison that fails on a few images is repeated on more: chance averages out, errors stay.

    Args:
        artifact: The file.
        spec: Its metadata.
        module: The model that it was made from.
        examples: Example inputs, whose shapes and types the random ones take.
        outputs: Names of the model's own outputs in the artifact.
        matrix: Which runs are made.
        draw: Makes the inputs; random ones like the examples by default.
        attempts: Number of inputs in each attempt, and for each of two sizes where the artifact
            leaves the size open.
        seed: Of the random inputs.
        inside: The training transform, where it is part of the artifact.

    Raises:
        VerificationError: ONNX Runtime cannot load or run the artifact.
    """
    import torch

    from .torch_reference import Reference

    kind: Literal["random", "given"] = "random" if draw is None else "given"
    session = load_session(artifact)
    batch = fixed_batch(session, spec)
    random = random_like(session, examples)
    make = draw or (random if inside is None else inside.random(random))
    chunk = _CHUNK if inside is None else 1 if draw else _ONE_SIZE
    sizes = (0, GROWTH) if draw is None and open_sizes(session, spec) else (0,)
    scored = spec.score.output
    position = list(outputs).index(scored) if scored in outputs else 0
    references = [
        Reference(
            module,
            spec.layers,
            dtype,
            output=position,
            score=spec.score,
            of_input=list(spec.of_input),
            image=image_index(session, spec) if spec.of_input else 0,
        )
        for dtype in (torch.float64, None)
    ]
    tallies: list[Tally] = []
    images = 0
    for attempt, count in enumerate(attempts):
        truths: list[Truth] = []
        for grown, start in itertools.product(sizes, range(0, count, batch or chunk)):
            drawn = seed + 1000 * attempt + start
            feeds = make(min(chunk, count - start), grown, drawn)
            first = first_run(session, spec, feeds, matrix, drawn)
            taken = feeds if inside is None else inside.source_feeds(feeds)
            arguments = _arguments(taken, examples)
            selected, region = first.doubled
            expected, own = (
                by_name(reference(arguments, selected, region), spec, outputs)
                for reference in references
            )
            truths.append(Truth(first, expected, own))
        images = sum(len(truth.first.selected) for truth in truths)
        tallies = _tally(artifact, session, spec, outputs, truths, matrix, kind)
        if all(tally.passed for tally in tallies):
            break
    findings: list[Finding] = [one for tally in tallies for one in tally.findings()]
    counts = (images, 0) if kind == "random" else (0, images)
    return Verdict(findings, "autograd-float64", *counts, seed)


def _tally(
    artifact: Path,
    session: Any,
    spec: Spec,
    outputs: Sequence[str],
    truths: Sequence[Truth],
    matrix: Matrix,
    kind: Literal["random", "given"],
) -> list[Tally]:
    """Compare every run at every level; the first level has its session already."""
    tallies: list[Tally] = []
    for level in matrix.levels:
        opened = session if level == matrix.levels[0] else load_session(artifact, level=level)
        tally = Tally(spec, outputs, level, kind)
        for truth in truths:
            for run in runs(opened, spec, truth, matrix):
                tally.add(run)
        tallies.append(tally)
    return tallies


def _arguments(feeds: Tensors, examples: Sequence[Any]) -> list[Any]:
    """The arguments of ``forward``: the feeds as tensors, and the examples that are no tensors."""
    import torch

    arrays = iter(feeds.values())
    return [
        torch.from_numpy(next(arrays)) if isinstance(example, torch.Tensor) else example
        for example in examples
    ]
