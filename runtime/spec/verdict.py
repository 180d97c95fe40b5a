"""`Verification` is the part of an artifact's metadata with the verdict on it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Annotated, Literal

from ..bounds import Count, Name, Range, Version
from ..checks import short
from ..records import Fault, Record

Error = Annotated[float, Range(0)]
Verdict = Literal["pass", "fail", "skipped", "unproven"]


@dataclass(frozen=True)
class Verification(Record):
    """The exporter's verdict on the artifact, with its errors and thresholds.

    Attributes:
        verdict: ``pass``, ``fail``, ``skipped``, or ``unproven``: no check failed, but some could
            not be made, or not in the time that was given, and the user accepted that.
        reference: ``autograd-float64``, ``finite-differences``, the same
            ``-straight-through`` (gradients pass quantisers as if nothing were rounded),
            ``artifact`` (a head, compared with its artifact), or ``none``.
        images: Number of random inputs.
        seed: Their seed.
        errors: Relative L2 error of each checked tensor: the largest, or the median over the inputs
            where one of them lies at a kink and the median decided.
        thresholds: The bound of each error.
        checks: The status of each check of `graftcam verify`, by name; older artifacts have none.
        onnxruntime: The version of ONNX Runtime that ran it; likewise.
        unproven: What is not proven, and why; not in the JSON if there is nothing.
        engine: What ran it instead of ONNX Runtime's CPU, with its version; else not in the JSON.
    """

    verdict: Verdict
    reference: Literal[
        "autograd-float64", "finite-differences", "finite-differences-straight-through",
        "artifact", "none",
    ]  # fmt: skip
    images: Count = 0
    seed: Annotated[int, Range(0, 2**63 - 1)] = 0
    errors: dict[Name, Error] = field(default_factory=dict[str, float])
    thresholds: dict[Name, Error] = field(default_factory=dict[str, float])
    checks: dict[Name, Verdict] | None = None
    onnxruntime: Version | None = None
    unproven: list[str] | None = None
    engine: str | None = None

    def faults(self) -> Iterator[Fault]:
        """See `Record`."""
        for name in self.errors:
            if name not in self.thresholds:
                yield "thresholds", f"a threshold for each error, also for {short(name)}"

    def worst(self) -> str:
        """Describe the largest error and its threshold."""
        name = max(self.errors, key=self.errors.__getitem__)
        error, bound = self.errors[name], self.thresholds[name]
        return f"largest relative error {error:.1e} ({name}, threshold {bound:.1e})"
