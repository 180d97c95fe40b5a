"""This module compares an artifact with PyTorch autograd in float64."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from ....runtime.spec import Layer, Spec
from ...errors import VerificationError, first_line
from ...graph.infer_shapes import GROWTH
from ...memory import give_back
from ..runs.artifact import Artifact
from ..runs.flat_images import example_inputs, flat_images
from ..runs.inputs import random_inputs
from ..runs.matrix import QUICK, FirstRun, Matrix, Truth, first_run
from ..runs.running import Draw, Tensors, some_rows
from ..runs.tensors import Tally, by_name, compare_runs
from ..verdict.compare import Check, merge, relative_errors, three_digits
from ..verdict.deadline import NO_DEADLINE, Deadline, over
from ..verdict.findings import Finding, InputKind, Verdict
from .engine_noise import forward_values, with_engine_noise
from .flat import compare_flat
from .judge import Judgement, acquitted, judge, with_common_map

if TYPE_CHECKING:
    import torch

    from ...source.torch_inputs import ModuleInputs
    from .torch_reference import Reference

Part = TypeVar("Part")
ATTEMPTS = (4, 12, 36)
_CHUNK = 4  # images at a time, to bound the memory of the float64 pass
_LARGE = 600_000  # numbers of an image, beyond which one is enough at a time
_ONE_SIZE = 2  # the same for artifacts that take images of any size, which differs between chunks
_JUDGING = (
    120.0  # seconds a layer for finite differences; a disagreement is rare and worth the time
)
# What a model that asserts something of its input may raise, in PyTorch or ONNX Runtime.
_MODELS = (VerificationError, RuntimeError, ValueError, IndexError)
_CHANCE = 0.1  # kinks that flip make errors below this


def verify_module(
    artifact: Artifact,
    module: torch.nn.Module,
    examples: ModuleInputs | Sequence[Any],
    *,
    matrix: Matrix = QUICK,
    draw: Draw | None = None,
    attempts: Sequence[int] = ATTEMPTS,
    deadline: Deadline = NO_DEADLINE,
    everything: bool = False,
) -> Verdict:
    """Run artifact and PyTorch on the same inputs and compare all outputs.

    Whether a kink flips on an image is chance, for the artifact as for PyTorch itself. So a
    comparison that fails on a few images is repeated on more: chance averages out, errors stay.
    Where only gradients disagree, finite differences decide who is right, see `judge`.

    Args:
        artifact: The artifact.
        module: The model that it was made from.
        examples: Example inputs, whose shapes and types the random ones take.
        matrix: Which runs are made.
        draw: Makes the inputs; random ones like the examples by default.
        attempts: Number of inputs in each attempt, and for each of two sizes where the artifact
            leaves the size open.
        deadline: When to end; each size is compared once at least.
        everything: At every optimisation level, whatever fails at the first.

    Raises:
        VerificationError: ONNX Runtime cannot load or run the artifact.
    """
    import torch

    from ...source.torch_inputs import ModuleInputs
    from .torch_reference import Reference

    spec, outputs = artifact.spec, artifact.outputs
    given = ModuleInputs.of(examples)
    make = draw or random_inputs(artifact, given)
    step = _CHUNK if artifact.inside is None else 1 if draw else _ONE_SIZE
    largest = max((x[:1].numel() for x in given.tensors if x.dim()), default=0)
    step = artifact.batch or (1 if largest > _LARGE else step)
    sizes = (0, GROWTH) if draw is None and artifact.open_sizes else (0,)
    # A reference holds a copy of the module, so it lives only while it works.
    reference = partial(
        Reference, module, spec.layers, artifact=artifact, of_input=list(spec.of_input)
    )

    def arguments_of(first: FirstRun) -> ModuleInputs:
        return given.with_tensors([torch.from_numpy(array) for array in first.source.values()])

    def computed(dtype: torch.dtype | None, firsts: Iterable[FirstRun]) -> list[Tensors]:
        """What PyTorch makes of the inputs of these runs, in a precision."""
        with closing(reference(dtype)) as made:
            return [by_name(made(arguments_of(one), *one.doubled), spec, outputs) for one in firsts]

    def compared(truths: Sequence[Truth]) -> list[Tally]:
        return compare_runs(artifact, truths, matrix, kind, deadline, everything=everything)

    def on_flat_images(known: Collection[str]) -> list[Finding]:
        """Compare the gradients that are not known to differ from autograd's."""
        feeds = [*flat_images(artifact, make), *example_inputs(artifact, given)]
        firsts = [first_run(artifact, one, matrix, 0) for one in feeds]
        artifact.close()
        both = (computed(dtype, firsts) for dtype in (torch.float64, None))
        shown = [Truth(*one) for one in zip(firsts, *both, strict=True)]
        places = {name: one for name, one in _places(spec).items() if name not in known}
        with closing(reference(torch.float64)) as judging:
            return compare_flat(judging, arguments_of, artifact, places, shown)

    kind: InputKind = "random" if draw is None else "given"
    tallies, truths, judgements, late = list[Tally](), list[Truth](), dict[str, Judgement](), ""
    for attempt, count in enumerate(attempts):
        firsts = list[FirstRun]()
        planned = [*itertools.product(_parts(count, step, artifact.batch), sizes)]
        for (start, rows), grown in _in_time(planned, len(sizes), deadline):
            seed = 1000 * attempt + start
            feeds = make(min(step, count - start), grown, seed)
            feeds = some_rows(feeds, rows, artifact.batched)
            firsts.append(first_run(artifact, feeds, matrix, seed))
        artifact.close()  # the reference has its own copy of the weights
        try:
            exact = computed(torch.float64, _in_time(firsts, len(sizes), deadline))
        except _MODELS as error:
            # PyTorch's norms refuse a single number, which one image alone may leave of a channel.
            several = [one for one in firsts if len(one.selected) > 1]
            if not several or len(several) == len(firsts):
                raise
            planned = planned[: len(planned) - (len(firsts) - len(several))]
            firsts, late = several, f"the model does not run for one image: {first_line(error)}"
            exact = computed(torch.float64, _in_time(firsts, len(sizes), deadline))
        if len(exact) < len(planned):
            done = sum(len(one.selected) for one in firsts[: len(exact)])
            late = f"{done} of {count * len(sizes)} inputs: {over(deadline)}"
        rounded = computed(None, firsts[: len(exact)])
        truths = [Truth(*one) for one in zip(firsts, exact, rounded, strict=False)]
        give_back()
        tallies = compared(truths)
        failing, excused = {*_failing(tallies)}, tallies
        if noisy := failing & forward_values(artifact):
            wider = with_engine_noise(artifact, truths, noisy)
            excused = compared(wider)
            if failing == noisy:
                truths, tallies = wider, excused
        if all(tally.passed for tally in tallies):
            break
        images = sum(len(one.first.selected) for one in truths)
        settled = any(tally.settled(images) for tally in excused)
        if settled or attempt == len(attempts) - 1 or deadline.passed:
            with closing(reference(torch.float64)) as judging:
                truths, judgements = _judge(judging, arguments_of, spec, tallies, truths)
            if any(one.right == "artifact" for one in judgements.values()):
                tallies = compare_runs(artifact, truths, matrix, kind, everything=everything)
            elif deadline.passed and not settled:
                late = late or f"{count * len(sizes)} inputs: {over(deadline)}"
            break
    findings = [
        _explained(finding, judgements, late) for tally in tallies for finding in tally.findings()
    ]
    right = not any(one.status == "fail" for one in findings)
    # Ties decide which boxes a detector gives for an image of one colour.
    if right and draw is None and spec.detector is None:
        if deadline.left < deadline.seconds / 2:  # they take as long as the others did
            late = late or f"no images of one colour: {over(deadline)}"
        else:
            try:
                findings += on_flat_images({*judgements})
            except _MODELS as error:
                late = late or f"the model fails on images of one colour: {first_line(error)}"
    if late and right:
        findings.append(Finding("runs", "", "pass", reason=late, inputs=kind))
    return Verdict(findings, "autograd-float64", sum(len(one.first.selected) for one in truths))


def _parts(count: int, step: int, batch: int | None) -> list[tuple[int, slice]]:
    """The batches of ``count`` inputs that are drawn by ``step``: the first number, and the rows.

    In an open batch the first input stands alone: PyTorch and ONNX Runtime have kernels of their
    own for one image, and users give one most often.
    """
    whole = [(start, slice(None)) for start in range(0, count, step)]
    if batch or min(step, count) == 1:
        return whole
    return [(0, slice(1)), (0, slice(1, None)), *whole[1:]]


def _in_time(parts: Sequence[Part], least: int, deadline: Deadline) -> Iterator[Part]:
    """As many of the parts as there is time for, but ``least`` at any rate."""
    for place, part in enumerate(parts):
        if place >= least and deadline.passed:
            return
        yield part


def _failing(tallies: Sequence[Tally]) -> dict[str, Check]:
    """The comparisons that fail, by tensor."""
    merged = (merge(group) for tally in tallies for group in tally.parts.values())
    return {check.name: check for check in merged if not check.passed}


def _judge(
    reference: Reference, arguments_of: Callable[[FirstRun], ModuleInputs], spec: Spec,
    tallies: Sequence[Tally], truths: Sequence[Truth],
) -> tuple[list[Truth], dict[str, Judgement]]:  # fmt: skip
    """Ask who is right about the gradients that disagree, if nothing else does.

    Returns:
        The truths, with the artifact's gradients where it is right, and the judgements by tensor.
    """
    failing, found = set(_failing(tallies)), list(truths)
    judgements: dict[str, Judgement] = {}
    places = _places(spec)
    common = set() if spec.detector is None else {spec.detector.heatmap}
    if failing - {*places, *(one.heatmap for one in places.values())} - common:
        return found, {}
    for name, layer in places.items():
        heatmap = layer.heatmap
        if failing & {name, heatmap}:
            # Of each size of images, the run where the two differ most.
            worst = max(truths, key=lambda one: _difference(one, name))
            made = judge(reference, arguments_of(worst.first), worst, layer, Deadline(_JUDGING))
            judgements[name] = judgements[heatmap] = made
            if made.right == "artifact":
                found = [acquitted(truth, layer, heatmap) for truth in found]
    if any(one.right == "artifact" for one in judgements.values()):
        found = [with_common_map(truth, spec) for truth in found]
    return found, judgements


def _places(spec: Spec) -> dict[str, Layer]:
    """The layers by their gradients' names; the image is one without a name and a map."""
    found = {one.gradients: one for one in spec.layers}
    if spec.input_gradients is not None:
        name = spec.input_gradients
        found[name] = Layer("", "", "channels_first", [], 0, "", "", name)
    return found


def _difference(truth: Truth, name: str) -> float:
    return float(relative_errors(truth.first.results[name], truth.expected[name]).max(initial=0.0))


def _explained(finding: Finding, judgements: Mapping[str, Judgement], late: str) -> Finding:
    """A finding about gradients with the judgement, and with what the time was not enough for."""
    if finding.check not in ("gradients", "heatmap"):
        return finding
    judgement, reason = judgements.get(finding.subject), finding.reason
    if judgement is not None and judgement.right == "artifact":
        value = max(finding.value or 0.0, three_digits(judgement.error))
        finding = replace(finding, value=value)
        reason = "; ".join(part for part in (reason, judgement.reason) if part)
    elif judgement is not None and finding.status == "fail":
        reason = f"{reason}; {judgement.reason}"
    small = finding.value is not None and finding.value < _CHANCE
    if finding.status == "fail" and late and small and not (judgement and judgement.right):
        reason = f"{reason}; more inputs would show whether this is chance, but {late}"
        return replace(finding, status="unproven", reason=reason)
    return replace(finding, reason=reason)
