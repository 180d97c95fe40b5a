"""An `Effort` is how thoroughly a verification works, and when it ends."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

from ...clock import Progress
from ..runs.matrix import Matrix
from .deadline import Deadline
from .findings import Finding, fails


@dataclass(frozen=True)
class Effort:
    """How thoroughly a verification works.

    Attributes:
        full: At every optimisation level of ONNX Runtime, with several batch sizes and numbers of
            classes; else at the default level, one of each.
        everything: Whether checks go on after one has failed. One is enough for the verdict.
        deadline: When to end.
        progress: Called with the name of each step as it begins.
        engine: What runs the artifact; None: ONNX Runtime's CPU.
    """

    full: bool
    everything: bool
    deadline: Deadline
    progress: Progress
    engine: str | None = None

    def runs(self, matrix: Matrix) -> Matrix:
        """The runs of ``matrix``, on the engine if there is one: it has no levels."""
        return matrix if self.engine is None else replace(matrix, levels=(self.engine,))

    def decided(self, findings: Iterable[Finding]) -> bool:
        """Whether the verdict is known, and what is left need not be checked."""
        return not self.everything and fails(findings)
