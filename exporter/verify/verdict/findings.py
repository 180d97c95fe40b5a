"""A `Finding` is the result of one check; a `Verdict` collects them."""

from __future__ import annotations

import importlib.metadata
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

from ....runtime.spec import Verification
from ...errors import UnprovenError, VerificationError
from ...graph.ort_session import Where
from .compare import Check, three_digits

Status = Literal["pass", "fail", "skipped", "unproven"]
InputKind = Literal["random", "flat", "given"]
Reference = Literal[
    "autograd-float64", "finite-differences", "finite-differences-straight-through",
    "artifact", "none",
]  # fmt: skip
CHECKS: dict[str, str] = {
    "metadata": "the metadata is present, parses, names inputs, outputs and values that exist, and "
    "its preprocessing is that of the graph and of the training",
    "digests": "graph, weights and heads have the digests that the export stored",
    "source": "graph and weights of the source have the hashes in the metadata",
    "labels": "the class names are the source's",
    "outputs": "the model's own outputs equal the source's",
    "activations": "the layer's output equals the source's",
    "gradients": "the gradients of the class scores equal those of the reference",
    "heatmap": "the heatmap equals the reference's, and the formula of activations and gradients",
    "scores": "the scores equal the reference's",
    "boxes": "the boxes' edges equal those in the model's outputs",
    "shapes": "every output has the shape that the contract gives it",
    "classes": "requested ids are returned, ranks follow the scores, each class has its score",
    "dependence": "different inputs give different maps",
    "drop-in": "the original inputs alone give the original outputs",
    "determinism": "the same export gives the same bytes",
    "agreement": "predictions and maps agree with the artifact that this one was made from",
    "runs": "ONNX Runtime loads and runs the file",
}
"""Every check by name, with the condition that it tests."""
FORWARD = ("outputs", "activations", "scores", "boxes", "shapes", "classes")
"""Checks that no gradient enters."""
AT_LEAST = frozenset({"dependence", "agreement"})
"""Checks whose value must reach the threshold; the values of all others must not exceed it."""


@dataclass(frozen=True)
class Finding:
    """The result of one check.

    Attributes:
        check: Its name, one of `CHECKS`.
        subject: The tensor or field; empty if the check is about the whole file.
        status: ``pass``, ``fail``, ``skipped`` (it does not apply here), or ``unproven`` (it was
            not possible, or not in the time).
        value: The measured number, if there is one; mostly an error.
        threshold: The bound of the value.
        reason: Why it failed, was skipped or is unproven; else an explanation of the value, if it
            needs one.
        level: ONNX Runtime's optimisation level, or the engine that ran the artifact instead.
        inputs: ``random`` numbers, ``flat`` images (of one colour), or ``given`` images, if
            there were inputs.
        largest: The largest error, where `value` is the median over the inputs: one of them may
            lie where a ReLU flips, for the artifact or for the reference.
    """

    check: str
    subject: str
    status: Status
    value: float | None = None
    threshold: float | None = None
    reason: str = ""
    level: Where | None = None
    inputs: InputKind | None = None
    largest: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """The finding as plain JSON types; numbers that JSON lacks become None."""
        data = asdict(self)
        for name in ("value", "threshold", "largest"):
            number = data[name]
            data[name] = number if number is not None and math.isfinite(number) else None
        return data


def measured(
    check: str, subject: str, value: float, threshold: float, reason: str, *,
    level: Where | None = None, inputs: InputKind | None = None,
) -> Finding:  # fmt: skip
    """The finding of one number: ``fail`` with ``reason`` on the wrong side of the threshold."""
    passed = value >= threshold if check in AT_LEAST else value <= threshold
    status, reason = ("pass", "") if passed else ("fail", reason)
    return Finding(check, subject, status, three_digits(value), threshold, reason, level, inputs)


def compared(
    check: str, found: Check, remark: str = "", *,
    level: Where | None = None, inputs: InputKind | None = None,
) -> Finding:  # fmt: skip
    """The finding of the comparison of one tensor; ``remark`` is added to why it failed."""
    value, bound = found.deciding
    largest = three_digits(found.largest) if found.by_median else None
    status, reason = ("pass", "") if found.passed else ("fail", found.fault() + remark)
    return Finding(check, found.name, status, value, bound, reason, level, inputs, largest)


def fails(findings: Iterable[Finding], *checks: str) -> bool:
    """Whether a check failed; only these ``checks``, if any are named."""
    return any(one.status == "fail" and (not checks or one.check in checks) for one in findings)


def not_made(findings: Sequence[Finding], checks: Iterable[str]) -> list[Finding]:
    """Findings that say which of ``checks`` were not made since another one failed before."""
    failed = next((one.check for one in findings if one.status == "fail"), None)
    if failed is None:
        return []
    made = {one.check for one in findings}
    reason = f"{_NOT_MADE}: {failed} failed before it"
    return [Finding(name, "", "skipped", reason=reason) for name in checks if name not in made]


@dataclass(frozen=True)
class Verdict:
    """Everything that was found about an artifact.

    Attributes:
        findings: In the order of the checks.
        reference: What gradients were compared with.
        images: Number of random inputs.
        given: Number of images that were given.
        seed: Of the random inputs.
        seconds: Time by step.
        engine: What ran the artifact, with its version; None: ONNX Runtime's CPU.
    """

    findings: list[Finding]
    reference: Reference = "none"
    images: int = 0
    given: int = 0
    seed: int = 0
    seconds: dict[str, float] = field(default_factory=dict[str, float])
    engine: str | None = None

    @property
    def failures(self) -> list[Finding]:
        """The findings that failed."""
        return [finding for finding in self.findings if finding.status == "fail"]

    @property
    def stopped(self) -> list[str]:
        """The checks that were not made since another one failed."""
        return [one.check for one in self.findings if one.reason.startswith(_NOT_MADE)]

    @property
    def unproven(self) -> list[Finding]:
        """The findings that prove nothing, for want of time or of means."""
        return [finding for finding in self.findings if finding.status == "unproven"]

    @property
    def remarks(self) -> list[str]:
        """What there is to say about checks that passed."""
        passed = (one for one in self.findings if one.status == "pass" and one.reason)
        return list(dict.fromkeys(f"{one.check}: {one.reason}" for one in passed))

    @property
    def status(self) -> Literal["pass", "fail", "unproven"]:
        """``fail`` if anything failed, ``unproven`` if anything else is."""
        return "fail" if self.failures else "unproven" if self.unproven else "pass"

    def by_check(self) -> dict[str, Status]:
        """The worst status of each check, in their order."""
        worst: dict[str, Status] = {}
        for finding in self.findings:
            known = worst.get(finding.check, "pass")
            worst[finding.check] = max(known, finding.status, key=_RANK.__getitem__)
        return worst

    def record(self) -> Verification:
        """The verdict as the artifact's metadata stores it: the error of each tensor that decided.

        The error of two artifacts is 1 minus their agreement.
        """
        errors: dict[str, float] = {}
        bounds: dict[str, float] = {}
        for finding in self.findings:
            value, bound = finding.value, finding.threshold
            if finding.check not in _TENSORS or value is None or bound is None:
                continue
            if finding.check in AT_LEAST:
                value, bound = three_digits(1 - value), three_digits(1 - bound)
            if value >= errors.get(finding.subject, 0.0):
                errors[finding.subject], bounds[finding.subject] = value, bound
        return Verification(
            self.status, self.reference, self.images, self.seed, errors, bounds,
            dict(self.by_check()), importlib.metadata.version("onnxruntime"),
            one_line(self.unproven) or None, self.engine,
        )  # fmt: skip

    def raise_on_failure(self, *, partial: bool = False) -> None:
        """Raise unless everything passed, or with ``partial`` nothing failed.

        Raises:
            VerificationError: With each failure's reason, in one line.
            UnprovenError: With the reasons why something is not proven.
        """
        if self.failures:
            against = _AGAINST.get(self.reference, "its contract")
            what = f"the artifact disagrees with {against}, nothing was written"
            if all(one.check == "runs" for one in self.failures):
                what = "the artifact cannot be verified, nothing was written"
            raise VerificationError(f"{what}: {'; '.join(one_line(self.failures))}")
        if self.unproven and not partial:
            remedy = (
                "give it more time with verify=Verify(seconds=...) (--verify-seconds), choose a "
                "layer nearer to the score, or accept the partial proof with Verify(partial=True) "
                "(--accept-partial)"
            )
            if all(one.check == "outputs" for one in self.unproven):  # more time proves no more
                remedy = "or write it unproven, with Verify(partial=True) (--accept-partial)"
            raise UnprovenError(
                f"not verified, nothing was written: {'; '.join(one_line(self.unproven))}. "
                f"{self._proven()}; {remedy}"
            )

    def _proven(self) -> str:
        """The checks that passed."""
        passed = [name for name, status in self.by_check().items() if status == "pass"]
        return f"Proven so far: {', '.join(passed) or 'nothing'}"


_NOT_MADE = "not made"
_RANK: dict[Status, int] = {"pass": 0, "skipped": 1, "unproven": 2, "fail": 3}
_TENSORS = ("outputs", "activations", "gradients", "heatmap", "scores", "agreement")
_AGAINST = {
    "artifact": "the artifact that it was made from",
    "autograd-float64": "PyTorch autograd",
    "finite-differences": "its source or finite differences",
    "finite-differences-straight-through": "its source or finite differences",
}


def one_line(findings: Iterable[Finding]) -> list[str]:
    """Each subject with the reason of its first finding: a fault at several levels counts once."""
    reasons: dict[tuple[str, str], str] = {}
    for one in findings:
        reasons.setdefault((one.check, one.subject), one.reason)
    return [f"{subject or check}: {reason}" for (check, subject), reason in reasons.items()]


def worst_of(group: Sequence[Finding]) -> Finding:
    """The finding that decides for several of one check: failures first, then larger values."""
    return max(group, key=lambda one: (_RANK[one.status], one.largest or one.value or 0.0))
