"""These functions format reports and candidate layers as text for a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from ...runtime.output.attention_text import describe_attention
from ...runtime.output.text import counted
from ...runtime.plain_text import plain_lines
from ..capture.detector_summary import DetectorSummary
from ..locate.candidate import Candidate
from .report import Report

_NAMES = 5  # class names that a line shows


def describe_report(report: Report) -> str:
    """Describe the file, its layers with reasons, and its verification."""
    verdict, spec = report.verification, report.spec
    lines = [f"{report.path}: {report.bytes / 1e6:.1f} MB, {report.nodes[1]} nodes added to "
             f"{report.nodes[0]}"]  # fmt: skip
    lines += [f"  layer {name} ({reason})" for name, reason in report.layers.items()]
    if spec.attention is not None:
        lines += [f"  {line.strip()}" for line in describe_attention(spec.attention)[:2]]
    lines += [f"  head of {one.name}: {one.head.file}" for one in spec.layers if one.head]
    counts = [
        counted(one) if spec.outputs is None else f"{one.score.output} {counted(one)}"
        for one in spec.by_output()
    ]
    lines.append(f"  scores {report.score} ({spec.score.kind}, {', '.join(counts)})")
    if report.operators:
        counts = ", ".join(f"{op} {count}" for op, count in report.operators.items())
        lines.append(f"  differentiated: {counts}")
    on = f" in {verdict.engine}" if verdict.engine else ""
    if verdict.verdict == "pass":
        lines.append(
            f"  verified{on} against {verdict.reference} on {verdict.images} random inputs: "
            f"{verdict.worst()}"
        )
    elif verdict.unproven:
        lines.append("  NOT verified: written because a partial proof was accepted")
        lines += [f"    not proven: {reason}" for reason in verdict.unproven]
    else:
        lines.append("  not verified (--verify off)")
    lines += [f"  note: {note}" for note in report.notes]
    return plain_lines(lines)


def describe_detector(shown: DetectorSummary) -> str:
    """Say what a detector is, what shows it, and which layers are explained."""
    names = ", ".join(list(shown.names or ())[:_NAMES])
    more = ", ..." if shown.classes > _NAMES else ""
    classes = f"{shown.classes} {'class' if shown.classes == 1 else 'classes'}"
    lines = [
        f"detector, format {shown.format}, task {shown.task}",
        classes + (f": {names}{more}" if names else " without names: give --labels"),
        f"boxes: {shown.boxes}",
        *(f"seen: {one}" for one in shown.evidence),
        *(f"note: {one}" for one in shown.notes),
        "",
        "layers, one a level; others: --layer NAME, the backbone's: --context",
    ]
    width = max(len(name) for name, *_ in shown.levels)
    for name, dims, count in shown.levels:
        shape = " x ".join("?" if dim is None else str(dim) for dim in dims)
        boxes = f"  {count} boxes" if count is not None else ""
        lines.append(f"* {name:<{width}}  [{shape}]{boxes}")
    return plain_lines(lines)


def describe_candidates(found: Sequence[Candidate]) -> str:
    """List one layer per line, with the automatic choice marked and explained."""
    width = max(len(candidate.name) for candidate in found)
    kind = max(len(candidate.kind) for candidate in found)
    lines: list[str] = []
    for position, candidate in enumerate(found):
        mark = "*" if position == 0 and candidate.usable else " "
        shape = " x ".join(str(extent) for extent in candidate.shape)
        lines.append(
            f"{mark} {candidate.name:<{width}}  {candidate.kind:<{kind}}  [{shape}]"
            + ("" if candidate.usable and position else f"  {candidate.reason}")
        )
    if found[0].usable:
        lines.append("")
        lines.append(
            f"* automatic choice: the last usable layer ({found[0].reason}); another one: "
            "--layer NAME"
        )
    return plain_lines(lines)
