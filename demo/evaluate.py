"""`measure` computes how well a model finds digits, and whether its Grad-CAM maps point at them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..runtime import Explainer
from .data import LABELS, Canvases
from .run import hits


def measure(explainer: Explainer, canvases: Canvases) -> str:
    """Measure an artifact of the model on canvases.

    Returns:
        A table with a row for each class: the share of correct yes-or-no answers at probability
        0.5, the average precision, and the share of present digits whose map peaks in their box.
        The last line is the share of canvases whose whole set of classes is correct.
    """
    from sklearn.metrics import average_precision_score

    landed = np.zeros(len(LABELS))
    probabilities: list[NDArray[np.float32]] = []
    for image, boxes in zip(canvases.images, canvases.boxes, strict=True):
        found = explainer.explain(image, [box.label for box in boxes])
        assert found.probabilities is not None
        probabilities.append(found.probabilities)
        for box, hit in zip(boxes, hits(found, boxes), strict=True):
            landed[box.label] += hit
    targets, scores = canvases.targets > 0.5, np.stack(probabilities)
    right, counts = (scores > 0.5) == targets, targets.sum(0)
    precision = [average_precision_score(t, s) for t, s in zip(targets.T, scores.T, strict=True)]
    figures = np.stack([right.mean(0), np.array(precision), landed / counts], axis=1)
    means = [right.mean(), np.mean(precision), landed.sum() / counts.sum()]
    lines = [f"{'class':<6} accuracy  average precision  pointing game"]
    for name, row in zip((*LABELS, "all"), [*figures, means], strict=True):
        lines.append("{:<6} {:8.4f} {:18.4f} {:14.4f}".format(name, *row))
    return "\n".join([*lines, f"exact set of classes: {right.all(1).mean():.4f}"])
