"""This module checks FullGrad: what input and biases contribute must sum up to the score."""

from __future__ import annotations

import numpy as np

from ..runs.artifact import Artifact
from ..runs.running import Tensors
from ..verdict.findings import Finding, measured


def check_fullgrad(artifact: Artifact, feeds: Tensors, bound: float) -> list[Finding]:
    """Compare the sum of all terms with the scores (Srinivas and Fleuret 2019, "completeness").

    A term too few, or one with a wrong gradient, shows. The gradient of the image, from the same
    walk, is compared with a reference.

    Args:
        artifact: The artifact.
        feeds: The model's own inputs.
        bound: The largest error that rounding explains, relative to the largest score.
    """
    spec = artifact.spec
    if spec.fullgrad is None or spec.fullgrad_sum is None:
        return []
    results = artifact.run({**feeds, **artifact.choose(feeds, 0, 3)})
    scores = results[spec.scores].astype(np.float64)
    size = np.abs(scores).max(initial=0.0) or 1.0
    error = float(np.abs(results[spec.fullgrad_sum] - scores).max(initial=0.0) / size)
    if not np.isfinite(error):
        error = 0.0 if not np.isfinite(scores).all() else float("inf")
    reason = (
        f"what input and biases contribute sums up to {results[spec.fullgrad_sum][0].tolist()}, "
        f"the scores are {scores[0].tolist()}; leave fullgrad out"
    )
    return [measured("heatmap", spec.fullgrad, error, bound, reason, level=artifact.level)]
