"""A `Report` is the result of an export."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, cast

from ...runtime.spec import Spec, Verification
from ..locate.candidate import Candidate
from ..verify.verdict.findings import Verdict


@dataclass(frozen=True)
class Report:
    """The result of an export.

    Attributes:
        path: The artifact.
        spec: Its metadata.
        layers: Explained layers with the reason for each.
        score: The scored output, and why it is that one.
        candidates: Layers considered by the automatic choice, best first; empty if layers were
            named.
        operators: Active operators and how many nodes of each were differentiated.
        nodes: Nodes of the original graph, and nodes added.
        bytes: Size of the artifact.
        seconds: Time by step.
        verification: The verdict.
        notes: Notes for the user.
        verdict: Every check's finding; None if nothing was verified.
    """

    path: Path
    spec: Spec
    layers: dict[str, str]
    score: str
    candidates: list[Candidate]
    operators: dict[str, int]
    nodes: tuple[int, int]
    bytes: int
    seconds: dict[str, float]
    verification: Verification
    notes: list[str] = field(default_factory=list[str])
    verdict: Verdict | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain JSON types; numbers that JSON lacks become None."""
        data = asdict(self)
        data["path"] = str(self.path)
        data["verdict"] = self.verdict and [one.to_dict() for one in self.verdict.findings]
        return _finite(data)


def _finite(value: Any) -> Any:
    if isinstance(value, dict):
        entries = cast("dict[str, Any]", value)
        return {name: _finite(one) for name, one in entries.items()}
    if isinstance(value, (list, tuple)):
        return [_finite(one) for one in cast("Sequence[Any]", value)]
    return None if isinstance(value, float) and not math.isfinite(value) else value
