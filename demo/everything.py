"""`run` does what `graftcam demo` does: photographs, digits, and a page that shows both."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .explain_photographs import Explained, explain_photographs, files_of, plan
from .index_page import INDEX, need_jinja, write_index
from .own_files import own_files
from .photographs import Photograph
from .run import FILES, Summary, explain_digits

if TYPE_CHECKING:
    from ..exporter import Report

_DIGITS = "digits"


@dataclass(frozen=True)
class Result:
    """What a demo did.

    Attributes:
        index: The page that shows everything.
        report: The report of EfficientNet-Lite0; None: no photographs were explained.
        explained: The photographs, in order.
        digits: The result of the digits; None: they were not explained.
    """

    index: Path
    report: Report | None
    explained: list[Explained]
    digits: Summary | None

    def to_dict(self) -> dict[str, Any]:
        """Return the result as plain JSON types."""
        return {
            "index": str(self.index),
            "report": self.report and self.report.to_dict(),
            "photographs": [one.to_dict() for one in self.explained],
            "digits": self.digits and self.digits.to_dict(),
        }


def run(
    folder: Path, photographs: Sequence[Photograph], *, digits: bool,
    progress: Callable[[str], None],
) -> Result:  # fmt: skip
    """Explain photographs, then digits, and write the page.

    Args:
        folder: Where the files go; see `own_files`.
        photographs: What to explain with EfficientNet-Lite0; may be empty.
        digits: Whether to explain the digits.
        progress: Called with the name of each step as it begins.

    Raises:
        GraftcamError: A photograph cannot be read, a package is missing, or a file in the folder
            is not the demo's.
    """
    need_jinja()
    tasks = plan(photographs)
    names = [INDEX, *(files_of(tasks) if tasks else [])]
    names += [f"{_DIGITS}/{name}" for name in FILES] if digits else []
    with own_files(folder, names):
        report, explained = None, list[Explained]()
        if tasks:
            named = partial(_named, progress, "photographs")
            report, explained = explain_photographs(folder, tasks, named)
        known = None
        if digits:
            known = explain_digits(folder / _DIGITS, partial(_named, progress, _DIGITS))
        index = write_index(folder, report, explained, known)
    return Result(index, report, explained, known)


def _named(progress: Callable[[str], None], what: str, step: str) -> None:
    """Begin a step, with what it is for: both models have the same steps."""
    progress(f"{what}: {step}")
