"""`answer_of` says in plain sentences whether an artifact may ship, and why."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from ..verify.verdict.findings import AT_LEAST, CHECKS, Finding, worst_of
from ..verify.verdict.report import grouped
from .record import Record

REFERENCES = {
    "autograd-float64": "PyTorch",
    "finite-differences": "the source and finite differences",
    "finite-differences-straight-through": "the source and finite differences, straight through",
    "artifact": "the artifact that it was made from",
    "none": "nothing",
}
_WORDS = {
    "pass": "Yes", "fail": "No", "unproven": "Not proven", "skipped": "Not checked", "error": "No",
}  # fmt: skip
_NAMED = 3  # names in a sentence


@dataclass(frozen=True)
class Answer:
    """The answer to the question that a reader has first.

    Attributes:
        word: Yes, No, Not proven or Not checked.
        why: The reason, in one or two sentences.
    """

    word: str
    why: str


def answer_of(record: Record) -> Answer:
    """Answer whether an artifact may ship."""
    return Answer(_WORDS[record.verdict], _why(record))


def _why(record: Record) -> str:
    if record.verdict == "error":
        return f"Nothing was written: {record.message}"
    if record.verdict == "skipped":
        return "It was exported without verification, and nobody knows whether its maps are right."
    if record.verdict == "fail":
        failed = list(dict.fromkeys(one.check for one in record.of_status("fail")))
        worst = max(record.of_status("fail"), key=lambda one: _excess(one) or 0.0)
        count = "A check" if len(failed) == 1 else f"{len(failed)} checks"
        return f"{count} failed: {listed(failed)}. {sentence(worst)}"
    if record.verdict == "unproven":
        open_ones = list(dict.fromkeys(one.check for one in record.of_status("unproven")))
        count = "a check" if len(open_ones) == 1 else f"{len(open_ones)} checks"
        return f"No check failed, but {count} could not be made: {listed(open_ones)}."
    inputs = f"{record.random} random inputs"
    inputs += f" and {record.given} image{'s' * (record.given != 1)}" if record.given else ""
    agrees = f"It predicts and explains as {REFERENCES.get(record.reference, 'its source')} does"
    skipped = list(dict.fromkeys(one.check for one in record.of_status("skipped")))
    rest = f" Not checked: {listed(skipped)}." if skipped else ""
    return f"{agrees}, on {inputs}. Every check {'that was made ' if skipped else ''}passed.{rest}"


def sentence(one: Finding) -> str:
    """Say of a failed check by how much it failed."""
    what = CHECKS[one.check].split(",")[0].split(";")[0]
    if one.value is None or one.threshold is None:
        return f"It should hold that {what}."
    if one.check in AT_LEAST:
        return (
            f"It should hold that {what}: the value is {number(one.value)}, where at least "
            f"{number(one.threshold)} is needed."
        )
    times = _excess(one)
    more = "" if times is None else f", {_times(times)} the bound of {number(one.threshold)}"
    return f"It should hold that {what}: the difference is {number(one.value)}{more}."


def number(value: float) -> str:
    """Return a number with two digits; 0 as 0."""
    return f"{value:.1e}" if value and (value < 1e-2 or value >= 1e4) else f"{value:.2g}"


def largest(findings: Sequence[Finding]) -> Finding | None:
    """Return the difference that is nearest to its bound, or exceeds it most; None: no number."""
    measured = [one for one in findings if _excess(one) is not None]
    return max(measured, key=lambda one: _excess(one) or 0.0, default=None)


def counts(findings: Sequence[Finding]) -> dict[str, int]:
    """Return how many checks of a subject have each status, the worst of their levels."""
    found: dict[str, int] = {}
    for group in grouped(findings):
        status = worst_of(group).status
        found[status] = found.get(status, 0) + 1
    return found


def _excess(one: Finding) -> float | None:
    """Return a difference as a multiple of its bound; None: it is no difference with a bound."""
    if one.check in AT_LEAST or not one.threshold:
        return None
    if one.value is None:
        return math.inf if one.status == "fail" else None
    return one.value / one.threshold


def _times(times: float) -> str:
    return f"{times:,.0f} times" if 10 <= times < 1e6 else f"{number(times)} times"


def listed(names: Sequence[str]) -> str:
    """Return names in a sentence; of many the first ones and how many more there are."""
    shown = list(names[:_NAMED])
    if len(names) > _NAMED:
        return f"{', '.join(shown)} and {len(names) - _NAMED} more"
    return " and ".join([", ".join(shown[:-1]), shown[-1]] if len(shown) > 1 else shown)
