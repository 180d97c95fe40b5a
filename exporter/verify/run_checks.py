"""`run_checks` runs every check of an artifact, in order, for every kind of source."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import onnx_ir as ir

from ...runtime.session.engines.table import version_of_engine
from ..clock import Progress
from ..errors import VerificationError
from ..graph.open_file import open_file
from ..memory import give_back
from ..source.preprocessing import Transform
from .checks.attention import check_attention
from .checks.autograd import ATTEMPTS, verify_module
from .checks.contract import (
    check_drop_in,
    check_metadata,
    check_methods,
    check_mixture,
    check_ranks,
)
from .checks.dependence import check_batch, check_dependence
from .checks.engine_kinks import excuse_kinks
from .checks.finite import QUICK_FILE, bound_of, verify_file
from .checks.fit import check_fit
from .checks.flat_files import notes_on_flat
from .checks.fullgrad import check_fullgrad
from .checks.module_outputs import outputs_of, verify_undecoded
from .checks.quantised import verify_quantised
from .float64.straight_through import is_quantised
from .runs.artifact import Artifact
from .runs.box_tables import readable
from .runs.embedded import Embedded, check_original, trial_images
from .runs.inputs import Images, random_inputs
from .runs.matrix import FULL, QUICK
from .runs.running import Draw, Tensors, crashes, run_session, some_rows
from .runs.source import open_source, why_not_loaded, why_not_run
from .verdict.deadline import NO_DEADLINE, Deadline
from .verdict.effort import Effort
from .verdict.findings import Finding, InputKind, Verdict, fails, not_made

if TYPE_CHECKING:
    import torch

    from ..source.torch_inputs import ModuleInputs

_SAMPLE = 4  # inputs of the checks that need no reference
_CRASH = (
    "ONNX Runtime itself crashes while it optimises this float16 model; give it in float32, or "
    "use another release of ONNX Runtime"
)
USUAL = ("outputs", "activations", "gradients", "heatmap", "scores", "shapes", "classes",
          "dependence", "drop-in")  # fmt: skip
"""The checks of every artifact."""
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
        sharing: Names of extremes that share the gradient among ties, though the file does not tell
            whether its framework shares it.
    """

    model: ir.Model
    file: Path | None = None
    module: torch.nn.Module | None = None
    examples: ModuleInputs | Sequence[Any] = ()
    transform: Transform | None = None
    sharing: Sequence[str] = ()


def run_checks(
    path: Path,
    origin: Origin,
    *,
    full: bool,
    given: Images | None = None,
    deadline: Deadline = NO_DEADLINE,
    progress: Progress = lambda step: None,
    everything: bool = False,
    engine: str | None = None,
) -> Verdict:
    """Run the checks, from the cheapest to the dearest, until one fails.

    Args:
        path: The artifact.
        origin: What it is compared with.
        full: At every optimisation level of ONNX Runtime, with several batch sizes and numbers of
            classes; else at the default level, one of each.
        given: Images to check on beside random inputs.
        deadline: When to end; what is not proven then has findings that say so.
        progress: Called with the name of each step as it begins.
        everything: Run them all, whatever fails.
        engine: What runs the artifact; None: ONNX Runtime's CPU.
    """
    effort = Effort(full, everything, deadline, progress, engine)
    progress("verify")
    began = time.perf_counter()
    model = open_file(path, VerificationError)
    # Some of ONNX Runtime's float16 optimisations crash (1.32, a Gelu of Div, Erf, Add, Mul, Mul).
    if engine is None and _has(model, ir.DataType.FLOAT16) and crashes(path):
        return _with_rest([Finding("runs", "", "fail", reason=_CRASH)], Verdict([]))
    spec, findings = check_metadata(path, model)
    if spec is None:
        findings = [replace(one, reason=_why(one.reason, model, origin)) for one in findings]
        return _with_rest(findings, Verdict([]))
    check = _check_runs if spec.outputs is None else _check_outputs
    verdict = Verdict([])
    try:
        artifact = Artifact(path, spec, Embedded.of(model, spec), engine or "all")
        findings += _check_transforms(model, artifact, origin, given)
        if artifact.inside is not None:
            origin = replace(origin, model=artifact.inside.model_behind(origin.model, spec))
        del model
        give_back()
        if not effort.decided(findings):
            verdict = check(artifact, origin, given, effort)
            if engine is not None and verdict.failures:
                verdict = _of_engine(verdict, artifact, origin, effort, check)
    except VerificationError as error:
        fault = None if origin.file is None else why_not_run(origin.file)
        reason = fault or str(error)
        verdict = Verdict([Finding("runs", "", "fail", reason=reason)])
    seconds = {"verify": time.perf_counter() - began}
    where = None if engine is None else version_of_engine(engine)
    return _with_rest(findings, replace(verdict, seconds=seconds, engine=where))


def _of_engine(
    verdict: Verdict,
    artifact: Artifact,
    origin: Origin,
    effort: Effort,
    check: Callable[..., Verdict],
) -> Verdict:
    """The verdict on an engine that fails: whose fault it is, or whether it only rounds."""
    usual = artifact.on_cpu
    quick = replace(effort, full=False, engine=None, everything=False)
    if check(usual, origin, None, quick).failures:
        return verdict
    findings = verdict.findings
    if artifact.spec.outputs is None:
        draw = random_inputs(artifact, origin.examples)
        findings = excuse_kinks(artifact, usual, draw, findings)
    remark = f"{effort.engine} is wrong here, ONNX Runtime's CPU is right"
    findings = [
        replace(one, reason=f"{one.reason}; {remark}") if one.status == "fail" else one
        for one in findings
    ]
    return replace(verdict, findings=findings)


def _with_rest(findings: Sequence[Finding], verdict: Verdict) -> Verdict:
    """A verdict with the findings before it, and with those of the checks that were not made."""
    found = [*findings, *verdict.findings]
    return replace(verdict, findings=[*found, *not_made(found, USUAL)])


def _has(model: ir.Model, kind: ir.DataType) -> bool:
    return any(value.dtype is kind for node in model.graph for value in node.outputs)


def _why(reason: str, model: ir.Model, origin: Origin) -> str:
    """The reason why ONNX Runtime cannot load an artifact, if it is the source's."""
    if _has(model, ir.DataType.BFLOAT16):
        return (
            f"the model is bfloat16, and {reason}; give it in float32 or float16, or export with "
            "verify='off' for a device that has kernels for it"
        )
    return reason if origin.file is None else why_not_loaded(origin.file) or reason


def _check_transforms(
    model: ir.Model, artifact: Artifact, origin: Origin, given: Images | None
) -> list[Finding]:
    """Compare the transform in the graph, and the one that was given, with the record's."""
    transform, inside = artifact.spec.preprocess, artifact.inside
    if transform is None or (inside is None and origin.transform is None):
        return []
    images = [*trial_images(transform), *(given.images if given else [])]
    findings = [] if inside is None else [inside.check(model, artifact.path.parent, images)]
    if origin.transform is not None:
        findings.append(check_original(transform, origin.transform, images))
    return findings


def _check_outputs(
    artifact: Artifact, origin: Origin, given: Images | None, effort: Effort
) -> Verdict:
    """Run the checks that need the record for each of several outputs, in equal times."""
    specs, findings, verdict = artifact.spec.by_output(), list[Finding](), Verdict([])
    # What is the same whichever output is asked for.
    common = {*artifact.outputs, *(layer.activations for layer in artifact.spec.layers)}
    artifact.close()
    for place, spec in enumerate(specs):
        name = spec.score.output
        effort.progress(f"verify output {name}")
        share = replace(effort, deadline=effort.deadline.share(len(specs) - place))
        verdict = _check_runs(replace(artifact, spec=spec), origin, given, share)
        findings += [_of_output(one, name, common) for one in verdict.findings]
        if effort.decided(findings):
            return replace(verdict, findings=findings)
    feeds = random_inputs(artifact, origin.examples)(artifact.batch or 2, 0, 0)
    return replace(verdict, findings=[*findings, check_mixture(artifact, feeds)])


def _of_output(finding: Finding, output: str, common: Collection[str]) -> Finding:
    """A finding whose subject says which output was asked for."""
    if finding.subject in common:
        return finding
    return replace(finding, subject=f"{finding.subject} of {output}" if finding.subject else output)


def _check_runs(
    artifact: Artifact, origin: Origin, given: Images | None, effort: Effort
) -> Verdict:
    """Run the checks that need the record, the cheapest first."""
    draw, batch = random_inputs(artifact, origin.examples), artifact.batch
    step = batch or _SAMPLE
    # Several times where the batch is fixed.
    drawn, batched = [draw(step, 0, seed) for seed in range(0, _SAMPLE, step)], artifact.batched
    joined = {name: np.concatenate([one[name] for one in drawn]) for name in batched}
    sample = {**drawn[0], **joined}
    shown = None if given is None else given.draw(artifact)
    alone, verdict = _check_alone(artifact, origin.model, sample), Verdict([])
    if not effort.decided(alone):
        share = effort if given is None else replace(effort, deadline=effort.deadline.share(2))
        verdict = _compare(artifact, origin, share)
    if fails([*alone, *verdict.findings]):
        unfit = _unfit(artifact, origin, drawn[0], "random")
        if unfit is not None and shown is not None:  # the images are what the model is for
            sample, verdict = shown(step, 0, 0), Verdict([replace(unfit, status="skipped")])
            alone = _check_alone(artifact, origin.model, sample)
            unfit = _unfit(artifact, origin, sample, "given") if fails(alone) else None
        if unfit is not None:
            return Verdict([unfit])
    findings, count = verdict.findings, 0
    if given is not None and not effort.decided([*alone, *findings]):
        count = len(given.rows)
        effort.progress("verify on images")
        on_images = _compare(artifact, origin, effort, shown, max(_GIVEN, count))
        findings = [*findings, *on_images.findings]
        verdict = replace(verdict, reference=on_images.reference)
    if artifact.spec.attention is not None and not effort.decided([*alone, *findings]):
        bound = bound_of(origin.model.graph)
        findings = [
            *findings,
            *check_attention(artifact, origin.model, drawn[0], bound, "random", effort),
        ]
    # Where gradients are wrong, this may be why; a quantised model's steps only look like it.
    if fails(findings, "gradients") and not is_quantised(origin.model.graph):
        alone += check_batch(artifact, sample, bound_of(origin.model.graph))
    return replace(verdict, findings=[*findings, *alone], given=count)


def _check_alone(artifact: Artifact, model: ir.Model, sample: Tensors) -> list[Finding]:
    """The checks that need no reference."""
    small = some_rows(sample, slice(artifact.batch or 2), artifact.batched)
    found = [
        check_ranks(artifact, model, small),
        *check_dependence(artifact, sample),
        *check_methods(artifact, small),
        *check_fullgrad(artifact, small, bound_of(model.graph)),
    ]
    if artifact.spec.place == 0:  # the default is about the first of several outputs
        found.append(check_drop_in(artifact, small))
    return found


def _unfit(artifact: Artifact, origin: Origin, feeds: Tensors, kind: InputKind) -> Finding | None:
    """What makes inputs unfit for a comparison, see `check_fit`."""

    def source(feeds: Tensors) -> Tensors:
        if origin.module is not None:
            return outputs_of(artifact, origin.module, origin.examples, feeds)
        assert origin.file is not None
        return run_session(open_source(origin.file, origin.model), artifact.source_feeds(feeds))

    return check_fit(artifact, source, feeds, kind)


def _compare(
    artifact: Artifact, origin: Origin, effort: Effort, draw: Draw | None = None, count: int = 0
) -> Verdict:
    """Compare all tensors with the module, or with the file and finite differences."""
    spec, full, deadline = artifact.spec, effort.full, effort.deadline
    decoded = spec.detector is None or readable(spec, artifact.outputs)
    if origin.module is not None and decoded:
        from .checks.exporter_fault import with_exporter_fault

        verdict = verify_module(
            artifact, origin.module, origin.examples, draw=draw,
            matrix=effort.runs(FULL if full else QUICK),
            attempts=(count, 2 * count, 6 * count) if count else ATTEMPTS, deadline=deadline,
            everything=effort.everything,
        )  # fmt: skip
        return with_exporter_fault(verdict, artifact, origin.model, origin.module, origin.examples)
    matrix, images = effort.runs(FULL if full else QUICK_FILE), count or (_SAMPLE if full else 2)
    if origin.module is not None:
        return verify_undecoded(
            artifact, origin.model, origin.module, origin.examples, draw=draw, matrix=matrix,
            images=images, deadline=deadline, progress=effort.progress,
            everything=effort.everything,
        )  # fmt: skip
    assert origin.file is not None
    verify = verify_quantised if is_quantised(origin.model.graph) else verify_file
    verdict = verify(
        artifact, origin.model, origin.file, matrix=matrix, draw=draw, images=images,
        deadline=deadline, progress=effort.progress, everything=effort.everything,
    )  # fmt: skip
    if draw is not None or spec.detector is not None or deadline.passed:
        return verdict
    notes = notes_on_flat(artifact, origin.model, origin.sharing, random_inputs(artifact, ()))
    return replace(verdict, findings=[*verdict.findings, *notes])
