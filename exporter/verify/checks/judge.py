"""Where artifact and PyTorch autograd disagree, finite differences decide who is right.

Autograd is not always the derivative: a model may detach a part, or give an operator another
backward pass, and PyTorch itself has faults (2.14: eval-mode batch norm, flatten and transpose of
one image). The artifact gives the derivative of what the model computes. So do differences of
PyTorch's own scores in float64; they share nothing with either gradient.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np

from ....runtime.methods.table import METHODS
from ....runtime.spec import Layer, Spec
from ..float64.differences import (
    Differences,
    Gradient,
    SelectionFlippedError,
    compare_all,
    with_maps,
)
from ..runs.levels_sum import sum_of_levels
from ..runs.matrix import Truth
from ..runs.running import Array
from ..verdict.compare import SLACK, relative_errors
from ..verdict.deadline import Deadline

if TYPE_CHECKING:
    from ...source.torch_inputs import ModuleInputs
    from .torch_reference import Reference

BOUND = 1e-3  # relative to the gradient's length, as for files
_SIDE = 0.1  # of the disagreement: closer to one of the two than this is on its side
_IMAGES = 2
_SCORES = 3  # of an image: those about which the two disagree most
_MOVED = 1e-3  # of a layer's largest number, to see which others follow from it
_PARTS = 4  # random halves of the gradient, to find errors that cancel in the whole


@dataclass(frozen=True)
class Judgement:
    """Who is right about a layer's gradients.

    Attributes:
        right: ``artifact``, ``autograd`` or ``neither``; empty if differences do not tell.
        reason: In words.
        error: Of the artifact, against finite differences, if it is right.
    """

    right: str
    reason: str
    error: float = 0.0


def judge(
    reference: Reference, arguments: ModuleInputs, truth: Truth, layer: Layer, deadline: Deadline
) -> Judgement:
    """Compare both gradients of a layer with differences of the reference's scores.

    They are taken where the artifact's layers were, see `_point`.

    Args:
        reference: PyTorch in float64.
        arguments: The module's inputs of the run.
        truth: The run, and what autograd gives for it.
        layer: Where the gradients disagree; its name is empty for the image's own.
        deadline: When to end.
    """
    from .torch_cuts import cuts_behind

    made = _decided(reference, arguments, truth, layer, deadline)
    if made.right == "autograd":
        return made
    cuts = cuts_behind(reference, arguments, truth, layer, deadline)
    calls = ", ".join(map(str, cuts))
    lost = f"it does not pass through {calls}, which ONNX does not keep"
    if made.right != "artifact":
        return replace(made, reason=f"{made.reason}; of autograd, {lost}") if cuts else made
    error = float(relative_errors(*_sides(truth, layer)).max(initial=0.0))
    other = f"PyTorch autograd gives another gradient (error {error:.1e})"
    other = f"{other}: {lost}" if cuts else f"PyTorch is wrong here: {other}"
    return replace(made, reason=f"{other}; {made.reason}")


def _sides(truth: Truth, layer: Layer) -> tuple[Array, Array]:
    """The gradients of a layer: the artifact's and autograd's."""
    name = layer.gradients
    return truth.first.results[name].astype(np.float64), truth.expected[name].astype(np.float64)


def _decided(
    reference: Reference, arguments: ModuleInputs, truth: Truth, layer: Layer, deadline: Deadline
) -> Judgement:
    """What differences say, along the disagreement and then in other directions."""
    own, theirs = _sides(truth, layer)
    errors = relative_errors(own, theirs)
    rows = [int(row) for row in np.argsort(-errors)[:_IMAGES] if errors[row] > 0]
    selected, region = truth.first.doubled
    point = _point(reference, arguments, truth, layer)
    start = point[layer.name]
    reference.scores_at(arguments, point, selected, region)
    selections = reference.selections
    generator = np.random.default_rng(0)

    def score(row: int, k: int, image: Array) -> float:
        value = start.copy()
        value[row] = image
        at = {**point, layer.name: value}
        found = reference.scores_at(arguments, at, selected, region)[row, k]
        if not reference.selects_as(selections):
            raise SelectionFlippedError
        return float(found)

    def gradient(side: Array, place: tuple[int, int], *, apart: bool) -> Gradient:
        """One side's gradient, along the disagreement alone or along all other directions."""
        row, k = place
        values, off = side[row, k], own[row, k] - theirs[row, k]
        halves = [values * (generator.random(values.shape) < 0.5) for _ in range(_PARTS)]
        return Gradient(
            partial(score, row, k), start[row], values, layer, [off] if apart else halves,
            usual=not apart,
        )  # fmt: skip

    # Classes whose gradients agree prove nothing about the disagreement.
    by_score = [relative_errors(own[row], theirs[row]) for row in rows]
    places = [
        (row, int(k))
        for row, apart in zip(rows, by_score, strict=True)
        for k in np.argsort(-apart)[:_SCORES]
        if apart[k] > 0
    ]
    sides: dict[str, Differences] = {}
    for who, side in (("artifact", own), ("autograd", theirs)):
        decided, reason = list[tuple[int, int]](), ""
        refuted: tuple[int, int] | None = None
        for place in places:
            asked = gradient(side, place, apart=True)
            found = compare_all(iter([asked]), 1, generator, deadline)
            if not found.done:
                reason = reason or found.reason
                continue
            decided.append(place)
            if not _is_near(found, asked):
                refuted = place
                break
        if refuted is not None:
            places = [refuted]  # one place is enough to tell that it is wrong, and by whom
            continue
        if not _enough(len(decided), len(places), deadline):
            return Judgement("", f"finite differences do not tell: {reason}")
        others = (gradient(side, place, apart=False) for place in decided)
        sides[who] = compare_all(others, len(decided), generator, deadline)
        break
    return _judgement(sides, deadline)


def _is_near(found: Differences, asked: Gradient) -> bool:
    """Whether a side is right along the disagreement, as far as it is about that."""
    error = found.error * max(float(np.linalg.norm(asked.values)), 1e-6)
    return error <= _SIDE * float(np.linalg.norm(asked.others[0]))


def _enough(decided: int, planned: int, deadline: Deadline) -> bool:
    """Whether differences tell in all places, or in most of them and not for lack of time.

    A place is left out where the score has a kink in every direction, or selects other parts.
    """
    return decided == planned or (2 * decided > planned and not deadline.passed)


def _point(
    reference: Reference, arguments: ModuleInputs, truth: Truth, layer: Layer
) -> dict[str, Array]:
    """Values of the layer, and of others that do not follow from it, as the artifact has them.

    They are as precise as the artifact's type. Where the model is steep, its gradient there is
    another one than at PyTorch's values in float64, and neither is wrong.
    """
    values, results = reference.values_of(arguments), truth.first.results
    found = {layer.name: values[layer.name]}
    if not layer.name:
        return found
    value = values[layer.name]
    noise = np.random.default_rng(0).standard_normal(value.shape)
    moved = value + _MOVED * max(1.0, float(np.abs(value).max(initial=0.0))) * noise
    follow = reference.read_by(arguments, layer.name, moved.astype(value.dtype))
    for one in reference.layers:
        if one.name not in follow:
            found[one.name] = with_maps(values[one.name], results[one.activations], one)
    return found


def _judgement(sides: dict[str, Differences], deadline: Deadline) -> Judgement:
    for who, found in sides.items():
        if found.error > BOUND:
            continue
        if not _enough(found.done, found.planned, deadline):
            return Judgement("", f"finite differences do not tell: {found.reason}")
        if who == "autograd":
            return Judgement(who, "finite differences agree with PyTorch autograd")
        left_out = f"; {found.left_out}" if found.left_out else ""
        agree = f"finite differences agree with the artifact (error {found.error:.1e}{left_out})"
        return Judgement(who, agree, found.error)
    return Judgement("neither", "finite differences agree with neither")


def acquitted(truth: Truth, layer: Layer, heatmap: str) -> Truth:
    """The truth where the artifact is right about a layer: the gradients of its first run."""
    gradients = truth.first.results[layer.gradients]
    changed = {layer.gradients: gradients}
    if heatmap:
        values = truth.expected[layer.activations]
        changed[heatmap] = METHODS[layer.method or "gradcam"](values, gradients)
    assert isinstance(truth.own, dict)
    # As if PyTorch's own error were its share of the bound.
    own = {name: value * (1 + BOUND / SLACK) for name, value in changed.items()}
    return replace(truth, expected=truth.expected | changed, own=truth.own | own)


def with_common_map(truth: Truth, spec: Spec) -> Truth:
    """The truth with the sum of its levels' maps, some of which were exchanged; of detectors."""
    if spec.detector is None:
        return truth
    assert isinstance(truth.own, dict)
    name, maps = spec.detector.heatmap, [one.heatmap for one in spec.layers]
    whole = sum_of_levels([truth.expected[one] for one in maps])
    own = {name: whole * (1 + BOUND / SLACK)}
    return replace(truth, expected=truth.expected | {name: whole}, own=truth.own | own)
