"""`Known` collects what an export finds out, so that a report can be written wherever it fails."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ...runtime.errors import GraftcamError
from ..clock import Clock
from ..errors import LayerError, VerificationError
from ..locate.candidate import Candidate


@dataclass
class Known:
    """What is known of an export that has not come to its end.

    Attributes:
        path: The artifact that was to be written.
        name: Name of the source.
        clock: Has the steps and their times.
        layers: As in the `Report`, and so are those below.
        score: What is scored, and why.
        candidates: The layers that were considered.
        notes: Notes for the user.
        reported: Whether the report of a finished verification is written.
    """

    path: Path
    name: str
    clock: Clock
    layers: dict[str, str] = field(default_factory=dict[str, str])
    score: str = ""
    candidates: list[Candidate] = field(default_factory=list[Candidate])
    notes: list[str] = field(default_factory=list[str])
    reported: bool = False

    def failed_with(self, error: Exception) -> Failure | None:
        """Return what there is to report of an error; None if the report says it already."""
        if self.reported and isinstance(error, VerificationError):
            return None
        step = self.clock.step
        self.clock.stop()
        if isinstance(error, LayerError) and not self.candidates:
            self.candidates = list(error.candidates)
        return Failure(self, type(error).__name__, _message(error), step)


@dataclass(frozen=True)
class Failure:
    """An export that failed before it had a report.

    Attributes:
        known: What is known of it.
        kind: The error's class.
        message: What went wrong, with the remedy.
        step: The step that failed; empty: it was between two.
    """

    known: Known
    kind: str
    message: str
    step: str

    def to_dict(self) -> dict[str, Any]:
        """Return the error as plain JSON types."""
        return {"kind": self.kind, "message": self.message, "step": self.step}

    def export_to_dict(self) -> dict[str, Any]:
        """Return those fields of `Report.to_dict` that are known."""
        known = self.known
        return {
            "path": str(known.path),
            "layers": known.layers,
            "score": known.score,
            "candidates": [asdict(one) for one in known.candidates],
            "seconds": known.clock.seconds,
            "notes": known.notes,
        }


def _message(error: Exception) -> str:
    """Return the message; of an error that is not the project's own with its class before it."""
    text = str(error).strip()
    if isinstance(error, GraftcamError):
        return text
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def name_of(model: object) -> str:
    """Return what a page calls a source without a name: its file, or its class."""
    return Path(model).name if isinstance(model, (str, Path)) else type(model).__name__
