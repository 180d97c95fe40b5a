"""`markdown` writes the rule table as a document: ``graftcam ops``, ``docs/operators.md``."""

from __future__ import annotations

import inspect

from ..differentiate.registry import Entry, table

_INTRO = """# Operators

`graftcam ops --markdown` writes this page from the rule table, and a test compares them. An
operator with a *rule* is differentiated. An operator that is *declared zero* has no derivative: it
counts, compares or rounds. A *refused* operator could have a derivative but has no rule. If it is
on the path from the layer to the score, the export is refused, names it, and writes no file; so it
is for an operator that is not listed. Elsewhere in the model every operator works. "Since" is the
opset that introduced the form of the operator that the rule is written for. ONNX files of opset 11
to 17 are converted to 18.

Rules: {rule}. Declared zero: {zero}. Refused: {refused}.
"""


def summary(entry: Entry) -> str:
    """Return the first paragraph of a rule's docstring, or why there is no rule and the remedy."""
    if entry.refusal is not None:
        return f"refused: {entry.refusal}"
    if entry.rule is None:
        return "declared zero"
    text = inspect.getdoc(entry.rule) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("``", "`")


def markdown() -> str:
    """Return the whole table as Markdown."""
    entries = table()
    states = [entry.state for entry in entries.values()]
    counts = {state: states.count(state) for state in ("rule", "zero", "refused")}
    lines = [_INTRO.format(**counts)]
    lines += ["| operator | since | adjoint of its inputs |", "|---|---|---|"]
    for name, entry in entries.items():
        lines.append(f"| {name} | {entry.since} | {summary(entry).replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"
