"""This module compares everything that a run gives with what it should give."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt

from ....runtime.spec import Spec
from ....runtime.spec.detector import EDGES
from ...errors import VerificationError
from ...graph.ort_session import Where
from ..verdict.compare import (
    SLACK,
    UNFELT,
    Check,
    compare,
    merge,
    relative_errors,
    smallest_cosine,
)
from ..verdict.deadline import NO_DEADLINE, Deadline, over
from ..verdict.findings import Finding, InputKind, compared
from .artifact import Artifact
from .levels_sum import sum_of_levels
from .matrix import Bounds, Matrix, Run, Truth, runs
from .running import Array, Tensors

if TYPE_CHECKING:
    from ..checks.torch_reference import Expected

_JUMPING = ("gradients", "heatmap")  # checks of tensors that jump at the kinks of a model
_GROSS = 0.05  # an error that is no matter of a few kinks
_MANY = 8  # images of which not each one lies at a kink
CANCELLED = 1e-4  # relative to its terms: a smaller sum consists of rounding errors


def by_name(expected: Expected, spec: Spec, outputs: Sequence[str]) -> Tensors:
    """Name what a reference computes as the artifact does.

    Args:
        expected: Of the reference.
        spec: The artifact's metadata.
        outputs: Names of the model's own outputs, in the reference's order.

    Raises:
        VerificationError: There are more or fewer of them.
    """
    if len(outputs) != len(expected.outputs):
        raise VerificationError(
            f"the source gives {len(expected.outputs)} tensors, the artifact has {list(outputs)}"
        )
    found = dict(zip(outputs, expected.outputs, strict=True))
    found[spec.scores] = expected.scores
    for layer in spec.layers:
        found[layer.activations] = expected.activations[layer.name]
        found[layer.gradients] = expected.gradients[layer.name]
        found[layer.heatmap] = expected.heatmaps[layer.name]
    if spec.detector is not None:
        found[spec.detector.heatmap] = sum_of_levels([found[one.heatmap] for one in spec.layers])
        found |= {spec.detector.boxes: expected.boxes} if expected.boxes is not None else {}
    return found | {spec.of_input[field]: value for field, value in expected.of_input.items()}


def _kinds(spec: Spec, truth: Tensors) -> dict[str, str]:
    """The check of each tensor that ``truth`` has, by name and in the order of the checks."""
    found = {name: "outputs" for name in truth if name not in spec.own_outputs}
    found[spec.scores] = "scores"
    for layer in spec.layers:
        found |= {layer.activations: "activations", layer.gradients: "gradients"}
        found[layer.heatmap] = "heatmap"
    if spec.detector is not None:
        found |= {spec.detector.boxes: "boxes", spec.detector.heatmap: "heatmap"}
    found = {name: kind for name, kind in found.items() if name in truth}
    return found | dict.fromkeys(spec.of_input.values(), "gradients")


def checks(
    results: Tensors, spec: Spec, outputs: Sequence[str], truth: Expected, own: Expected
) -> list[Check]:
    """Compare everything that an artifact gives with a reference and its own rounding."""
    named = (by_name(one, spec, outputs) for one in (truth, own))
    return _tensor_checks(results, spec, *named)


def _tensor_checks(
    results: Tensors, spec: Spec, truth: Tensors, own: Tensors | Bounds | float
) -> list[Check]:
    """The same by names; ``own`` may also be the bound of every error, or bounds by name."""
    floors = dict[str, npt.NDArray[np.float64]]()
    for layer in spec.layers:
        values = truth[layer.activations]
        size = np.linalg.norm(values.reshape(len(values), -1).astype(np.float64), axis=1)
        floors[layer.gradients] = unfelt = _unfelt(truth[spec.scores], size)
        negligible = _negligible(truth[layer.gradients], values)
        floors[layer.heatmap] = np.maximum(negligible, unfelt * size)
    found, named = dict[str, Check](), _kinds(spec, truth)
    for name in named:
        actual, expected, floor = results[name], truth[name], floors.get(name, 0.0)
        if actual.shape != expected.shape or not actual.size:
            continue  # the check of the shapes reports it, or there is nothing to compare
        if isinstance(own, dict):
            found[name] = compare(name, actual, expected, own[name], floor)
        else:  # a fixed bound: as if the reference's own error were its share of it
            bound = own.errors[name] if isinstance(own, Bounds) else own
            errors = relative_errors(actual, expected, floor)
            share = np.full_like(errors, bound / SLACK)
            cosine = smallest_cosine(actual, expected, floor)
            found[name] = Check(name, errors, share, cosine, 1 - bound**2)
    output = spec.score.output
    if spec.scores in found and output in found and named[output] == "outputs":
        # A few numbers of an output can be exact by luck: PyTorch's error on the whole counts too.
        scores, whole = found[spec.scores], found[output]
        found[spec.scores] = replace(scores, own=np.maximum(scores.own, whole.own))
    return list(found.values())


def _negligible(slopes: Array, values: Array) -> npt.NDArray[np.float64]:
    """By image, the size below which a heatmap is only the rounding error of its terms.

    For example, behind a norm over averaged channels the channel weights vanish, and the map with
    them. What remains has no direction that could agree.
    """
    images, classes, channels = slopes.shape[:3]
    cells = max(1, values[0, 0].size)
    weights = np.abs(slopes).reshape(images, classes, channels, cells).mean(3)
    terms = weights @ np.abs(values).reshape(images, channels, cells)
    return CANCELLED * np.linalg.norm(terms.reshape(images, classes * cells), axis=1)


def _unfelt(scores: Array, size: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """By image, the length of a gradient along which the scores do not change beyond rounding.

    Behind a norm of a single number, for example, a gradient consists of rounding alone.

    Args:
        scores: [N, K].
        size: The length of the layer's value, [N].
    """
    largest = np.abs(scores.astype(np.float64)).reshape(len(scores), -1).max(axis=1, initial=0.0)
    return UNFELT * np.where(np.isfinite(largest), largest, 0.0) / np.maximum(size, 1.0)


@dataclass
class Tally:
    """The results of the runs at one optimisation level."""

    spec: Spec
    level: Where
    inputs: InputKind
    kinds: dict[str, str] = field(default_factory=dict[str, str])
    parts: dict[str, list[Check]] = field(default_factory=dict[str, list[Check]])
    shapes: dict[str, str] = field(default_factory=dict[str, str])
    wrong_classes: str = ""
    late: str = ""  # why not all runs were made
    slopes: dict[str, list[Array]] = field(default_factory=dict[str, list[Array]])

    def add(self, run: Run) -> None:
        """Compare one run."""
        spec, results = self.spec, run.results
        for name, shape in _shapes(run, spec).items():
            if results[name].shape != shape:
                reason = f"has shape {list(results[name].shape)}, not {list(shape)}"
                self.shapes.setdefault(name, reason)
        wanted = run.selected if spec.detector is None else run.selected[..., 0]
        if spec.classes and not np.array_equal(results[spec.classes], wanted):
            self.wrong_classes = (
                f"for classes {wanted[0].tolist()} it explains {results[spec.classes][0].tolist()}"
            )
        self.kinds = _kinds(spec, run.expected)
        for check in _tensor_checks(results, spec, run.expected, run.own):
            self.parts.setdefault(check.name, []).append(check)
        for layer in spec.layers:
            gradients = results[layer.gradients]
            if gradients.ndim > 2 and gradients.shape[1]:
                self.slopes.setdefault(layer.gradients, []).extend(gradients[:, 0])

    @property
    def passed(self) -> bool:
        """Whether all tensors agree; more inputs change nothing about the other findings."""
        return all(merge(group).passed for group in self.parts.values())

    @property
    def failed(self) -> bool:
        """Whether anything is wrong."""
        return not self.passed or bool(self.shapes or self.wrong_classes)

    def settled(self, images: int) -> bool:
        """Whether a tensor is wrong, and no number of further images could change that.

        Where a ReLU flips, a gradient jumps: whether an image lies there is chance, and its errors
        say little. No such chance explains errors on every image if the tensor has no jumps, or if
        most of them are gross, or if there are many images.
        """
        return any(
            found.everywhere
            and (self.kinds[found.name] not in _JUMPING or found.median > _GROSS or images >= _MANY)
            for found in map(merge, self.parts.values())
            if not found.passed
        )

    def findings(self) -> list[Finding]:
        """A finding for every tensor, and for the shapes and the classes."""
        found = [
            self._of_tensor(check, merge(self.parts[name]))
            for name, check in self.kinds.items()
            if name in self.parts
        ]
        reasons = {("shapes", name): reason for name, reason in self.shapes.items()}
        reasons = reasons or {("shapes", ""): ""}
        if self.spec.classes is not None:
            reasons["classes", self.spec.classes] = self.wrong_classes
        for (check, subject), reason in reasons.items():
            found.append(self._finding(check, subject, reason))
        if self.late:
            found.append(Finding("runs", "", "unproven", reason=self.late, inputs=self.inputs))
        return found

    def _of_tensor(self, check: str, found: Check) -> Finding:
        slopes, remark = self.slopes.get(found.name, []), ""
        if len(slopes) > 1 and all(np.array_equal(slope, slopes[0]) for slope in slopes[1:]):
            remark = "; they are the same for every input, as if baked in as a constant"
        return compared(check, found, remark, level=self.level, inputs=self.inputs)

    def _finding(self, check: str, subject: str, reason: str) -> Finding:
        """A finding that failed if there is a reason."""
        status = "fail" if reason else "pass"
        return Finding(check, subject, status, None, None, reason, self.level, self.inputs)


def _shapes(run: Run, spec: Spec) -> dict[str, tuple[int, ...]]:
    """The shapes that the contract gives, from those of the model's own part."""
    images, classes = run.selected.shape[:2]
    shapes: dict[str, tuple[int, ...]] = {spec.scores: (images, classes)}
    if spec.classes is not None:
        shapes[spec.classes] = (images, classes)
    for layer in spec.layers:
        features = run.expected[layer.activations].shape
        shapes[layer.activations] = features
        shapes[layer.gradients] = (images, classes, *features[1:])
        shapes[layer.heatmap] = (images, classes, *features[2:])
    if spec.detector is not None:
        shapes[spec.detector.boxes] = (images, classes, EDGES)
        shapes[spec.detector.heatmap] = shapes[spec.layers[0].heatmap]
    return shapes


def compare_runs(
    artifact: Artifact, truths: Sequence[Truth], matrix: Matrix, inputs: InputKind,
    deadline: Deadline = NO_DEADLINE, *, everything: bool = False,
) -> list[Tally]:  # fmt: skip
    """Compare every run at every level; the first level has its session already.

    The first run is made even if there is no time. After a level that fails no other is tried,
    unless for ``everything``.
    """
    tallies: list[Tally] = []
    for level in matrix.levels:
        opened = artifact if level == artifact.level else replace(artifact, level=level)
        tally = Tally(artifact.spec, level, inputs)
        tallies.append(tally)
        for run in (run for truth in truths for run in runs(opened, truth, matrix)):
            if tally.parts and deadline.passed:
                tally.late = (
                    f"{over(deadline)} runs at the levels {', '.join(matrix.levels)}; the last "
                    f"was at {level}"
                )
                return tallies
            tally.add(run)
        if len(matrix.levels) > 1:
            opened.close()
        if tally.failed and not everything:
            break
    return tallies
