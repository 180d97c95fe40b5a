"""The rule table as a document: what ``graftcam ops`` prints and ``docs/operators.md`` holds."""

from __future__ import annotations

import inspect

from .registry import Entry, table

_INTRO = """# Operators

Written by `graftcam ops --markdown` from the rule table; a test holds it true. An operator with a
*rule* is differentiated, one declared *zero* carries no derivative (it counts, compares or rounds),
and any other is refused by name before a file is written. "Since" is the first opset of the
operator's form that the rule is written for; ONNX files of opset 11 to 17 are converted to 18.

Rules: {rules}. Declared zero: {zeros}.
"""


def summary(entry: Entry) -> str:
    """The first sentence of a rule's docstring."""
    if entry.rule is None:
        return "declared zero"
    text = inspect.getdoc(entry.rule) or ""
    return text.split("\n\n")[0].replace("\n", " ").replace("``", "`")


def markdown() -> str:
    """The whole table as Markdown."""
    entries = table()
    rules = sum(entry.rule is not None for entry in entries.values())
    lines = [_INTRO.format(rules=rules, zeros=len(entries) - rules)]
    lines += ["| operator | since | adjoint of its inputs |", "|---|---|---|"]
    for name, entry in entries.items():
        lines.append(f"| {name} | {entry.since} | {summary(entry).replace('|', chr(92) + '|')} |")
    return "\n".join(lines) + "\n"
