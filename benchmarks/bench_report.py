"""`write_report` writes ``docs/benchmarks.md``: the figures of `benchmarks.run` and the targets."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from .book import Book, Row, mark, other_processors, preliminary
from .changes import changes
from .plots import PLOTS
from .script import shown, table
from .sections import SECTIONS, name_of, table_of
from .serve.page import section
from .targets import TARGETS, WHY, Target

_SHOWN = 0.01  # ms; smaller times are not listed

_TEXT = """# Benchmarks

Written by `make bench` (`python -m benchmarks.run`); do not edit. `benchmarks.json` holds the same
figures; a later run is compared with them.

Images of 224 x 224, random weights, float32, ONNX Runtime's CPU provider, an open batch axis.
**Plain** is the file that `torch.onnx.export` writes. **Explained** is graftcam's artifact with
one class for each image (K = 1); predictions, scores and heatmap are fetched. **K = 5** explains
five classes; **K = 0** is the same file used for prediction alone. The variants run in turns, in
random order in each round, in one process (or each in a new one, where the text says so) and with
{threads} threads; ONNX Runtime's idle threads do not spin (`session.intra_op.allow_spinning` = 0).
Figures are medians (quartiles); ratios are computed within a round.

No GPU was available: the page says nothing about CUDA, neither speed nor correctness.

Machine: {cpu}, {cores} cores, {system}; {tools}.
{quiet}
"""
_SOAK = (
    "- `python -m benchmarks.soak`: {explained} explanations with the demo's model in "
    "{seconds:.0f} s, with overlays, and {failed} broken images: {early_mb} MB of resident memory "
    "early, {late_mb} MB late, {peak_mb} MB at most."
)
_RAY = (
    "- `python -m benchmarks.ray_actors`: images per second of a folder's job, with the demo's "
    "model and one thread for each session: {paces}."
)


def write_report(book: Book, before: dict[str, Any] | None, folder: Path) -> None:
    """Write the page and its plots into ``folder``."""
    parts = {name: _rows(book, name) for name in SECTIONS}
    measured = {name: rows for name, rows in parts.items() if rows}
    tools = ", ".join(f"{name} {version}" for name, version in book.machine["versions"].items())
    quiet = _quietness(list(book.rows.values()), book.code)
    lines = [_TEXT.format(**book.machine, tools=tools, quiet=quiet), "## Targets"]
    lines += _targets(measured)
    (folder / "images").mkdir(parents=True, exist_ok=True)
    for name, rows in measured.items():
        part = SECTIONS[name]
        text = part.text.format(threads=book.machine["threads"])
        lines += ["", f"## {part.title}", "", text]
        if name in PLOTS:
            image = folder / "images" / f"benchmarks-{name}.svg"
            PLOTS[name](rows, image)
            lines += ["", f"![{part.title}](images/{image.name})"]
        lines += table_of(part.columns, rows) if part.columns else []
        lines += part.notes(rows) if part.notes else []
    lines += _deployed(folder)
    lines += ["", *serving] if (serving := section(_results(folder / "serve.json"))) else []
    lines += ["", "## Since the earlier run", "", *changes(book, before)]
    (folder / "benchmarks.md").write_text("\n".join(lines) + "\n")


def _rows(book: Book, part: str) -> list[Row]:
    found = [row for key, row in book.rows.items() if key.startswith(f"{part}/")]
    marked = [row | {"mark": mark(row, book.code)} for row in found]
    return sorted(marked, key=lambda row: row.get("images", 0))


def _quietness(rows: Sequence[Row], code: str) -> str:
    if not rows:
        return ""
    loads, others = [row["load"] for row in rows], [row["others"] for row in rows]
    text = (
        f"Load average before the start: {min(loads)} to {max(loads)}. While a row was measured, "
        f"other processes used {min(others):.0%} to {max(others):.0%} of all cores."
    )
    return "\n\n".join(filter(None, (text, other_processors(rows), preliminary(rows, code))))


def _targets(parts: dict[str, list[Row]]) -> list[str]:
    """Return each target with its worst row, then the rows that miss it, with the reason."""
    cells: list[list[str]] = []
    reasons: list[str] = []
    for target in TARGETS:
        bound = f"{'at most' if target.at_most else 'at least'} {target.bound}"
        rows = [row for row in parts.get(target.part, []) if target.covers(row)]
        if not rows:
            cells.append([target.text, bound, "not measured", ""])
            continue
        late = [row for row in rows if not target.reached(row)]
        count = f"{len(rows) - len(late)} of {len(rows)}"
        worst = (max if target.at_most else min)(rows, key=target.value)
        text = f"{target.value(worst):.3f} ({name_of(worst)})"
        cells.append([target.text, bound, f"**{count}**" if late else count, text])
        if late:
            reasons += [f"**{target.text}.** {WHY.get((target.part, target.ratio), '')}", ""]
            reasons += [*(line for row in late for line in _reason(target, row)), ""]
    lines = ["", *table(["figure", "target", "rows that reach it", "worst row"], cells)]
    return [*lines, "", "### Missed", "", *reasons] if reasons else lines


def _reason(target: Target, row: Row) -> list[str]:
    lines = [f"- {name_of(row)}: {shown(row['ratios'][target.ratio])}"]
    profile = row.get("profiles", {}).get(target.ratio)
    if profile is None:
        return lines
    operators, top = (
        ", ".join(f"{name} {ms:.2f}" for name, ms in profile[kind].items() if ms >= _SHOWN)
        for kind in ("operators", "top")
    )
    slower = ", ".join(f"{name} +{ms:.2f}" for name, ms in profile["slower"].items())
    text = (
        f"  Profile, ms: plain {profile['plain_ms']:.2f}; in the artifact the model's own nodes "
        f"{profile['own_ms']:.2f}{f' ({slower})' if slower else ''}, {profile['added_nodes']} "
        f"added nodes {profile['added_ms']:.2f}{f' ({operators})' if operators else ''}"
        f"{f', the longest {top}' if top else ''}."
    )
    return [*lines, text]


def _deployed(folder: Path) -> list[str]:
    """Return the section on deployment, from the results of two other scripts."""
    soak, ray = (_results(folder / name) for name in ("soak.json", "ray.json"))
    paces = ", ".join(f"{name} {pace:.0f}" for name, pace in ray.items())
    lines = [_SOAK.format(**soak)] if soak else []
    lines += [_RAY.format(paces=paces)] if ray else []
    return ["", "## Deployed", "", *lines] if lines else []


def _results(path: Path) -> dict[str, Any]:
    """Return the results of another script; empty if there are none."""
    return json.loads(path.read_text()) if path.exists() else {}
