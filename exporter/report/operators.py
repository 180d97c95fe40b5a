"""The rule table as a document: what ``graftcam ops`` prints and ``docs/operators.md`` holds."""

from __future__ import annotations

import inspect

from ..differentiate.registry import Entry, table

_INTRO = """# Operators

Written by `graftcam ops --markdown` from the rule table; a test holds it true. An operator with a
*rule* is differentiated, one declared *zero* carries no derivative (it counts, compares or rounds),
one declared *refused* could carry one and has no rule. It is refused by name before a file is
written where it stands between the layer and the score, and so is any operator that is not listed;
elsewhere every operator works. "Since" is the first opset of the operator's form that the rule is
written for; ONNX files of opset 11 to 17 are converted to 18.

Rules: {rule}. Declared zero: {zero}. Refused: {refused}.
"""


def summary(entry: Entry) -> str:
    """The first sentence of a rule's docstring, or why there is no rule and what to do."""
    if entry.refusal is not None:
        return f"refused: {entry.refusal}"
    if entry.rule is None:
        return "declared zero"
    text = inspect.getdoc(entry.rule) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("``", "`")


def markdown() -> str:
    """The whole table as Markdown."""
    entries = table()
    states = [entry.state for entry in entries.values()]
    counts = {state: states.count(state) for state in ("rule", "zero", "refused")}
    lines = [_INTRO.format(**counts)]
    lines += ["| operator | since | adjoint of its inputs |", "|---|---|---|"]
    for name, entry in entries.items():
        lines.append(f"| {name} | {entry.since} | {summary(entry).replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"
