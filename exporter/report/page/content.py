"""`content` makes the page's texts and numbers, which the template only arranges."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, get_args

from ....runtime.output.text import particulars
from ....runtime.spec import Preprocess, Spec
from ...graph.ort_session import LEVELS
from ...locate.candidate import Candidate
from ...verify.verdict.findings import AT_LEAST, CHECKS, Finding, Status, Verdict, worst_of
from ...verify.verdict.report import grouped
from ..answer import REFERENCES, answer_of, number, sentence
from ..record import Record
from ..report import Report
from .detections import BoxGallery
from .overlays import Gallery
from .scale import TICKS, Track, track

_CANDIDATES = 40  # rows of the table of layers
MARKS = {
    "pass": "✓", "fail": "✕", "skipped": "·", "unproven": "?", "unverified": "?", "error": "✕",
}  # fmt: skip
"""A sign for each status, for those who do not see its colour."""


@dataclass(frozen=True)
class Line:
    """One line of the table of checks.

    Attributes:
        finding: The worst of the subject's findings.
        meaning: What the check tests.
        sentence: What should hold, and by how much it does not.
        value: The value as text.
        bound: Its bound likewise.
        track: The difference on the page's scale; None: it has no bound.
        where: Levels and inputs of all findings.
    """

    finding: Finding
    meaning: str
    sentence: str
    value: str
    bound: str
    track: Track | None
    where: str


def content(report: Report, gallery: Gallery | BoxGallery | None, record: Record) -> dict[str, Any]:
    """Return everything that the template needs, by its names there."""
    verdict, spec = report.verdict, report.spec
    lines = [] if verdict is None else [_line(group) for group in grouped(verdict.findings)]
    ran = spec.verification.onnxruntime
    return {
        **listed(report.candidates, report.seconds),
        "title": spec.source.get("name", report.path.stem),
        "file": report.path.name,
        "status": "unverified" if verdict is None else verdict.status,
        "answer": answer_of(record),
        "mark": MARKS,
        "ticks": TICKS,
        "message": [],
        "failures": [line for line in lines if line.finding.status in ("fail", "unproven")],
        "tiles": _tiles(report, verdict, lines, record.size or 0),
        "lines": lines,
        "gallery": gallery if isinstance(gallery, Gallery) else None,
        "boxes": gallery if isinstance(gallery, BoxGallery) else None,
        "outputs": spec.output_names if spec.outputs else [],
        "layers": report.layers,
        "card": _card(report, record.sha256 or ""),
        "operators": report.operators,
        "notes": report.notes,
        "tools": [*spec.tools.items(), *([("onnxruntime", ran)] if ran else [])],
    }


def listed(candidates: Sequence[Candidate], seconds: dict[str, float]) -> dict[str, Any]:
    """Return the tables of layers and of steps, which the page of a failed export has as well."""
    shown = candidates[:_CANDIDATES]
    return {
        "candidates": [(one, " x ".join(map(str, one.shape))) for one in shown],
        "hidden": len(candidates) - len(shown),
        "steps": _steps(seconds),
    }


def _tiles(
    report: Report, verdict: Verdict | None, lines: Sequence[Line], size: int
) -> list[tuple[str, str, str]]:
    """Return name, figure and remark of the most important numbers."""
    tiles: list[tuple[str, str, str]] = []
    if verdict is not None:
        statuses = [line.finding.status for line in lines]
        counts = {status: statuses.count(status) for status in get_args(Status)}
        rest = [f"{n} {name}" for name, n in counts.items() if n and name != "pass"]
        remark = ", ".join(rest) or "none failed, none skipped"
        tiles.append(("checks passed", f"{counts['pass']} of {len(lines)}", remark))
        record = report.verification
        if record.errors:
            name = max(record.errors, key=record.errors.__getitem__)
            remark = f"{name}; at most {record.thresholds[name]:.1e} may be"
            tiles.append(("largest difference", f"{record.errors[name]:.1e}", remark))
        given = f", {verdict.given} images" if verdict.given else ""
        reference = REFERENCES[verdict.reference].split(",")[0].removeprefix("the ")
        tiles.append(("compared with", reference, f"{verdict.images} random inputs{given}"))
    added = report.nodes[1]
    tiles.append(("file", bytes_of(size), f"{added} nodes added to {report.nodes[0]}"))
    return tiles


def _line(group: Sequence[Finding]) -> Line:
    worst = worst_of(group)
    levels = list(dict.fromkeys(one.level for one in group if one.level))
    inputs = list(dict.fromkeys(one.inputs for one in group if one.inputs))
    words = {"random": "random numbers", "flat": "images of one colour", "given": "images"}
    every = len(levels) == len(LEVELS)
    where = ["every level" if every else f"level {', '.join(levels)}"] if levels else []
    where += [" and ".join(words[kind] for kind in inputs)] if inputs else []
    limit = "at least" if worst.check in AT_LEAST else "at most"
    bound = "" if worst.threshold is None else f"{limit} {number(worst.threshold)}"
    value = "" if worst.value is None else number(worst.value)
    meaning = CHECKS[worst.check]
    return Line(worst, meaning, sentence(worst), value, bound, track(worst), "; ".join(where))


def _card(report: Report, digest: str) -> list[tuple[str, str]]:
    """Return name and value of each entry of the model card."""
    spec = report.spec
    found = spec.detector
    levels = "" if found is None else ", ".join(level.layer for level in found.levels)
    boxes = [] if found is None else [
        ("Boxes", f"{found.format}, recognised since {'; '.join(found.evidence)}"),
        ("Levels", levels),
    ]  # fmt: skip
    return [
        ("Source", spec.source.get("name", "unnamed")),
        *boxes,
        *(entry for one in spec.by_output() for entry in _scored(one)),
        ("Inputs added", ", ".join(spec.own_inputs)),
        ("Outputs added", ", ".join(spec.own_outputs)),
        ("Preprocessing", _preprocessing(spec.preprocess)),
        ("Profile", spec.profile or "default: any ONNX Runtime"),
        ("Specification", str(spec.version)),
        ("File, SHA-256", digest),
        ("Source graph, SHA-256", spec.source["graph_sha256"]),
        ("Source weights, SHA-256", spec.source["weights_sha256"]),
    ]


def _scored(spec: Spec) -> list[tuple[str, str]]:
    """Return the classes and the score of the output that the metadata is about."""
    labels = "none" if not spec.labels else ", ".join(spec.labels[:12])
    if spec.labels and len(spec.labels) > 12:
        labels += f", … ({len(spec.labels)} in all)"
    kind = "single logit" if spec.score.single_logit else spec.score.kind
    of = "" if spec.outputs is None else f" of {spec.score.output}"
    return [
        (f"Classes{of}", f"{spec.score.classes}: {labels}"),
        (f"Score{of}", f"{spec.score.value} ({kind}), probabilities by {spec.score.activation}"),
    ]


def _preprocessing(transform: Preprocess | None) -> str:
    if transform is None:
        return "not stored: callers feed tensors"
    resize = "no resize" if transform.resize is None else (
        f"resize {'x'.join(map(str, transform.resize))} ({transform.resize_mode}, "
        f"{transform.interpolation})"
    )  # fmt: skip
    size = "x".join(map(str, transform.size))
    pixels = f"mean {transform.mean}, standard deviation {transform.std}{particulars(transform)}"
    return f"{resize}, crop {size}, {pixels}"


def _steps(seconds: dict[str, float]) -> list[tuple[str, str, float]]:
    """Return name, time, and share of the longest step in percent, for each step."""
    longest = max(seconds.values(), default=1.0) or 1.0
    return [(s, f"{taken:.1f} s", round(100 * taken / longest, 1)) for s, taken in seconds.items()]


def bytes_of(size: int) -> str:
    """Return a size as text."""
    return f"{size / 1e6:.1f} MB" if size >= 1e5 else f"{size / 1e3:.1f} kB"
