"""`run_checks` runs every check of an artifact, in order, for every kind of source."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from ...runtime.spec import Spec
from ..errors import VerificationError
from ..source.preprocessing import Transform
from .autograd import ATTEMPTS, verify_module
from .contract import check_drop_in, check_metadata, check_methods, check_ranks
from .dependence import check_dependence
from .embedded import Embedded, check_original, trial_images
from .findings import Finding, Verdict
from .finite import QUICK_FILE, random_file, verify_file
from .inputs import Draw, Images, random_like
from .matrix import FULL, QUICK
from .running import Tensors, fixed_batch, load_session, some_rows

if TYPE_CHECKING:
    import torch

Progress = Callable[[str], None]
_SAMPLE = 4  # inputs of the checks that need no reference
_GIVEN = 6  # images, or noisy copies where fewer are given: a single image may lie on a kink


@dataclass(frozen=True)
class Origin:
    """What an artifact is compared with.

    Attributes:
        model: The graph that layers' values are taken from: the source's or the artifact's own.
        file: The ONNX file that it was made from, or the model's own part of it.
        module: The PyTorch module that it was made from, instead of the file.
        examples: Example inputs of the module.
        transform: The training transform as the user gave it, if it can be run.
    """

    model: ir.Model
    file: Path | None = None
    module: torch.nn.Module | None = None
    examples: Sequence[Any] = ()
    transform: Transform | None = None


def run_checks(
    artifact: Path,
    origin: Origin,
    *,
    full: bool,
    given: Images | None = None,
    progress: Progress = lambda step: None,
) -> Verdict:
    """Run the checks.

    Args:
        artifact: The file.
        origin: What it is compared with.
        full: At every optimisation level of ONNX Runtime, with several batch sizes and numbers of
            classes; else at the default level, one of each.
        given: Images to check on beside random inputs.
        progress: Called with the name of each step as it begins.
    """
    progress("verify")
    began = time.perf_counter()
    model = ir.load(artifact.resolve())
    spec, findings = check_metadata(artifact, model)
    if spec is None:
        return Verdict(findings)
    try:
        inside = Embedded.of(model, spec)
        findings += _check_transforms(model, artifact.parent, spec, inside, origin, given)
        if inside is not None:
            origin = replace(origin, model=inside.model_behind(origin.model, spec))
        del model
        verdict = _check_runs(artifact, spec, origin, inside, full=full, given=given)
    except VerificationError as error:
        verdict = Verdict([Finding("runs", "", "fail", reason=str(error))])
    seconds = {"verify": time.perf_counter() - began}
    return replace(verdict, findings=[*findings, *verdict.findings], seconds=seconds)


def _check_transforms(
    model: ir.Model, folder: Path, spec: Spec, inside: Embedded | None, origin: Origin,
    given: Images | None,
) -> list[Finding]:  # fmt: skip
    """Compare the transform in the graph, and the one that was given, with the record's."""
    if spec.preprocess is None or (inside is None and origin.transform is None):
        return []
    images = [*trial_images(spec.preprocess), *(given.images if given else [])]
    findings = [] if inside is None else [inside.check(model, folder, images)]
    if origin.transform is not None:
        findings.append(check_original(spec.preprocess, origin.transform, images))
    return findings


def _check_runs(
    artifact: Path, spec: Spec, origin: Origin, inside: Embedded | None, *,
    full: bool, given: Images | None,
) -> Verdict:  # fmt: skip
    """Run the checks that need the record."""
    session = load_session(artifact)
    outputs = [one.name for one in session.get_outputs() if one.name not in spec.own_outputs]
    draw = random_like(session, origin.examples) if origin.module else random_file(session, spec)
    draw = draw if inside is None else inside.random(draw)
    sample = _several(draw, _SAMPLE, fixed_batch(session, spec))
    shown = None if given is None else given.draw(session, spec)
    small = some_rows(sample, slice(fixed_batch(session, spec) or 2))
    alone = [
        check_ranks(session, spec, origin.model, small, artifact.parent, inside),
        *check_dependence(session, spec, sample),
        *check_methods(session, spec, small),
        check_drop_in(session, spec, small),
    ]
    del session  # the others open their own; large weights should not be in memory twice
    verdict = _compare(artifact, spec, origin, outputs, inside, full=full)
    if given is not None and shown is not None:
        count = max(_GIVEN, len(given.rows))
        more = _compare(artifact, spec, origin, outputs, inside, full=full, draw=shown, count=count)
        verdict = replace(
            verdict, findings=[*verdict.findings, *more.findings], given=len(given.rows)
        )
    return replace(verdict, findings=[*verdict.findings, *alone])


def _compare(
    artifact: Path,
    spec: Spec,
    origin: Origin,
    outputs: Sequence[str],
    inside: Embedded | None,
    *,
    full: bool,
    draw: Draw | None = None,
    count: int | None = None,
) -> Verdict:
    """Compare all tensors with the module, or with the file and finite differences."""
    if origin.module is not None:
        attempts = ATTEMPTS if count is None else (count, 2 * count, 6 * count)
        return verify_module(
            artifact, spec, origin.module, origin.examples, outputs,
            matrix=FULL if full else QUICK, draw=draw, attempts=attempts, inside=inside,
        )  # fmt: skip
    assert origin.file is not None
    images = count or (_SAMPLE if full else 2)
    return verify_file(
        artifact, spec, origin.model, origin.file, outputs,
        matrix=FULL if full else QUICK_FILE, draw=draw, images=images, inside=inside,
    )  # fmt: skip


def _several(draw: Draw, count: int, batch: int | None) -> Tensors:
    """Draw ``count`` inputs, several times where the batch is fixed."""
    parts = [draw(batch or count, 0, seed) for seed in range(0, count, batch or count)]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}
