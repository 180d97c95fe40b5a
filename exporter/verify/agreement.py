"""This module compares a smaller artifact with the one that it was made from, on images."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ...runtime.explainer import Explainer
from ...runtime.limits import MAX_PIXELS
from ...runtime.tools.pairs import pair_of
from .verdict.findings import Finding, Verdict, measured

AT_LEAST = 0.9
"""Mean cosine of the heatmaps, and share of equal predictions, that count as the same model."""


def check_agreement(
    artifact: Path,
    original: Path,
    images: Sequence[Path],
    at_least: float = AT_LEAST,
    max_pixels: int = MAX_PIXELS,
    engine: str | None = None,
) -> Verdict:
    """Compare predictions and maps of the predicted class.

    Args:
        artifact: The smaller one.
        original: What it was made from.
        images: Image files.
        at_least: What both figures must reach.
        max_pixels: Number of pixels that an image may have.
        engine: What runs the smaller one; None: ONNX Runtime's CPU.

    Raises:
        GraftcamError: A file cannot be read, or the two do not know the same classes.
    """
    since = time.perf_counter()
    large = Explainer(original, "cpu", max_pixels=max_pixels)
    small = Explainer(artifact, max_pixels=max_pixels, engine=engine or "cpu")
    found = pair_of(large, small).compare(images)
    findings = [
        measured(
            "agreement", subject, value, at_least,
            f"{what} {value:.3f} only (at least {at_least:.3f})", inputs="given",
        )
        for subject, value, what in (
            ("heatmap", found.similarity, f"maps of {found.counted} are similar by"),
            ("prediction", found.agreement, f"of the predictions on {found.counted} are equal"),
        )
    ]  # fmt: skip
    findings += [
        Finding("agreement", path, "fail", reason=reason) for path, reason in found.failed.items()
    ]
    seconds = {"compare": time.perf_counter() - since}
    return Verdict(findings, "artifact", given=len(images) - len(found.failed), seconds=seconds)
