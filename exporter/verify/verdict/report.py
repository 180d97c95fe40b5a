"""This module writes a verdict for machines (JSON) and for a terminal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path
from typing import Any

from ....runtime.json_text import write_json
from ....runtime.plain_text import plain_lines
from ....runtime.reading import file_sha256
from ....runtime.spec import Spec
from ...artifact.save import tool_versions
from .findings import AT_LEAST, CHECKS, Finding, Verdict, one_line, worst_of

SCHEMA_VERSION = 1
_PACKAGES = ("onnxruntime", "numpy", "onnx", "onnx-ir", "torch", "torchvision", "timm")
_MARKS = {"pass": "pass", "fail": "FAIL", "skipped": "skip", "unproven": "open"}


def to_json(artifact: Path, spec: Spec | None, against: str | None, verdict: Verdict) -> str:
    """The report that ``docs/verification.schema.json`` describes.

    Args:
        artifact: The file.
        spec: Its record; None where it has none that can be read.
        against: The source, as it was given.
        verdict: What was found.
    """
    report = to_dict(artifact, spec, against, verdict)
    return write_json(report, indent=2, allow_nan=False) + "\n"


def to_dict(
    artifact: Path, spec: Spec | None, against: str | None, verdict: Verdict
) -> dict[str, Any]:
    """The same as plain JSON types."""
    about = {
        "file": artifact.name,
        "sha256": file_sha256(artifact),
        "bytes": artifact.stat().st_size,
        "name": spec.source.get("name") if spec else None,
        "source": {k: v for k, v in spec.source.items() if k != "name"} if spec else {},
    }
    return _to_dict(about, against, verdict)


def _to_dict(about: dict[str, Any], against: str | None, verdict: Verdict) -> dict[str, Any]:
    return {
        "schema": SCHEMA_VERSION,
        "verdict": verdict.status,
        "artifact": about,
        "against": against,
        "reference": verdict.reference,
        "inputs": {"random": verdict.images, "given": verdict.given, "seed": verdict.seed},
        "versions": tool_versions(_PACKAGES),
        "checks": [one.to_dict() for one in verdict.findings],
        "seconds": {step: round(taken, 3) for step, taken in verdict.seconds.items()},
    }


def error_to_dict(
    artifact: Path, name: str, error: dict[str, str], seconds: dict[str, float]
) -> dict[str, Any]:
    """The report of an export that failed before there was an artifact to check.

    Args:
        artifact: The file that was to be written.
        name: The model's name.
        error: What went wrong: ``kind``, ``message`` and ``step``.
        seconds: Time by step.
    """
    about = {"file": artifact.name, "sha256": None, "bytes": None, "name": name, "source": {}}
    nothing = _to_dict(about, None, Verdict([], seconds=seconds))
    return {**nothing, "verdict": "error", "error": error}


def describe_verdict(artifact: Path, verdict: Verdict) -> str:
    """A line for each subject of each check, the worst of its levels and inputs; the verdict."""
    lines: list[str] = []
    for group in grouped(verdict.findings):
        worst = worst_of(group)
        label = f"{_MARKS[worst.status]}  {worst.check:<12} {worst.subject}".rstrip()
        numbers = ""
        if worst.status != "fail" and worst.value is not None and worst.threshold is not None:
            limit = "at least" if worst.check in AT_LEAST else "at most"
            numbers = f"{worst.value:.1e}, {limit} {worst.threshold:.1e}"
            if worst.largest is not None:
                numbers = f"the median is {numbers}; the largest, {worst.largest:.1e}, is at a kink"
        levels = list(dict.fromkeys(one.level for one in group if one.level))
        which = f"levels {', '.join(levels)}" if len(levels) > 1 else ""
        detail = ", ".join(part for part in (numbers, worst.reason, which) if part)
        lines.append(f"{label}: {detail}" if detail else label)
    if verdict.failures:
        failed = one_line(verdict.failures)
        lines.append(f"{artifact.name} may not ship, {len(failed)} failed: {'; '.join(failed)}")
        if verdict.stopped:
            lines[-1] += f". Not checked after it: {', '.join(verdict.stopped)} (--all checks all)"
    elif verdict.unproven:
        reasons = "; ".join(one_line(verdict.unproven))
        lines.append(f"{artifact.name} is not verified: {reasons}")
    else:
        inputs = f"{verdict.images} random inputs"
        inputs += f" and {verdict.given} images" if verdict.given else ""
        where = f" in {verdict.engine}" if verdict.engine else ""
        lines.append(f"{artifact.name} passes{where}: {verdict.reference}, {inputs}")
    return plain_lines(lines)


def grouped(findings: Sequence[Finding]) -> list[list[Finding]]:
    """Findings of one check and subject together, checks in their documented order."""
    order = list(CHECKS)

    def key(one: Finding) -> tuple[int, str]:
        return order.index(one.check), one.subject

    return [list(group) for _, group in groupby(sorted(findings, key=key), key)]
