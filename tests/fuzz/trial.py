"""What a random model comes to: exported and right, refused, or wrong in one of several ways."""

from __future__ import annotations

import re
import traceback
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, Protocol

import graftcam.exporter
from graftcam.exporter.errors import MalformedError, VerificationError
from graftcam.runtime.errors import GraftcamError
from graftcam.runtime.settings import Score

Outcome = Literal[
    "right",
    "refused",
    "stopped",
    "unclear",
    "no run",
    "silent wrong",
    "false alarm",
    "raw exception",
]
OUTCOMES: dict[Outcome, str] = {
    "right": "exported, and the gradient is right",
    "refused": "refused with an error of the project's own, before the verification",
    "stopped": "the verification refused it, and its gradient is wrong",
    "unclear": "no derivative to compare with",
    "no run": "the model itself does not run",
    "silent wrong": "exported and verified, but the gradient is wrong",
    "false alarm": "the verification refused it, but its gradient is right",
    "raw exception": "an error that is not the project's own",
}
# What the model gives, not what may lie before a Softmax at its end: that is what is measured.
SCORE = Score("output", class_offset=0)
_ROOT = Path(graftcam.exporter.__file__).parents[1]
_OWN = (str(_ROOT / "exporter"), str(_ROOT / "runtime"))
# What tells one wrong gradient from another in their details.
_SIGNS = ("not finite", "other scores", "at a kink", "cannot be judged")
FAULTS: tuple[Outcome, ...] = ("silent wrong", "false alarm", "raw exception")
# Where the verification stops a wrong gradient, it is a rule that is at fault.
TO_SHRINK: tuple[Outcome, ...] = (*FAULTS, "stopped")


class UnclearError(Exception):
    """There is nothing to compare the gradient with."""


@dataclass(frozen=True)
class Judgement:
    """Whether a gradient is right, as far as an independent comparison can tell."""

    verdict: Literal["right", "wrong", "unclear"]
    detail: str = ""


@dataclass(frozen=True)
class Result:
    """What became of a model; the detail is a line of text."""

    outcome: Outcome
    detail: str = ""

    @property
    def symptom(self) -> tuple[str, str]:
        """What a smaller model must show as well to be an example of the same fault."""
        if self.outcome == "raw exception":
            return self.outcome, self.detail.split(":")[0]
        return self.outcome, next((sign for sign in _SIGNS if sign in self.detail), "")

    @property
    def cause(self) -> str:
        """What results of the same cause share, as far as their texts tell."""
        return f"{self.outcome}: {re.sub('[0-9]+', '#', self.detail)[:110]}"


class Source(Protocol):
    """A random model, as an ONNX file or a PyTorch module."""

    suffix: str

    @property
    def text(self) -> str:
        """All of it as text, from which it can be made again."""
        ...

    def why_it_does_not_run(self) -> str:
        """What it fails with by itself; nothing if it runs."""
        ...

    def export(self, path: Path, verify: Any) -> Any:
        """Write its artifact and return the report."""
        ...

    def judge(self, path: Path, report: Any) -> Judgement:
        """Compare the artifact's gradient with the model itself."""
        ...


def trial(source: Source, folder: Path, *, verify: bool = True) -> Result:
    """Export a model and judge what comes of it.

    Args:
        source: The model.
        folder: Where files may be written.
        verify: Let the export verify; otherwise whatever it writes counts as verified.
    """
    reason = source.why_it_does_not_run()
    if reason:
        return Result("no run", _line(reason))
    path = folder / "artifact.onnx"
    try:
        report = source.export(path, "quick" if verify else "off")
    except VerificationError as error:
        return _refused_by_the_verification(source, path, _line(error))
    except MalformedError as error:  # a raw exception, made one line for users
        return Result("raw exception", _place(error.__cause__ or error))
    except GraftcamError as error:
        return Result("refused", f"{type(error).__name__}: {_line(error)}")
    except Exception as error:
        return Result("raw exception", _place(error))
    return _judged(source, path, report, "silent wrong")


def _judged(source: Source, path: Path, report: Any, wrong: Outcome) -> Result:
    try:
        judged = source.judge(path, report)
    except UnclearError as error:
        return Result("unclear", _line(error))
    except Exception as error:
        return Result(wrong, f"the artifact cannot be judged: {_place(error)}")
    return Result(wrong if judged.verdict == "wrong" else judged.verdict, judged.detail)


def _refused_by_the_verification(source: Source, path: Path, reason: str) -> Result:
    try:
        report = source.export(path, "off")
    except GraftcamError as error:
        return Result("refused", f"{type(error).__name__}: {_line(error)}")
    except Exception as error:
        return Result("raw exception", _place(error))
    judged = _judged(source, path, report, "stopped")
    if judged.outcome == "right":
        return Result("false alarm", reason)
    return Result(judged.outcome, f"{judged.detail}; {reason}")


def _place(error: BaseException) -> str:
    """An error with the line of the project that it came through last."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [one for one in frames if one.filename.startswith(_OWN)]
    at = (own or frames)[-1]
    return f"{type(error).__name__} at {Path(at.filename).name} {at.lineno}: {_line(error)}"


def _line(error: object, most: int = 300) -> str:
    text = " ".join(str(error).split())
    return text if len(text) <= most else f"{text[:most]}..."
