"""`explain_digits` exports the digit model, verifies it, and explains the bundled images."""

from __future__ import annotations

import importlib.util
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..runtime import Explainer, Explanation
from ..runtime.output.render import write_image
from ..runtime.spec import Preprocess
from .bundled import WEIGHTS, images
from .data import LABELS, MEAN, SIZE, STD, Box

if TYPE_CHECKING:
    from ..exporter import Report

FILES = ("digits.onnx", "overview.png")
"""What `explain_digits` writes: the artifact and a picture of all explanations."""
TRANSFORM = Preprocess(size=[SIZE, SIZE], resize=None, mean=list(MEAN), std=list(STD))
_CANVASES = 300
_SEED = 3  # differs from the seeds of the training and of the bundled images


@dataclass(frozen=True)
class Summary:
    """The result of the digits.

    Attributes:
        report: The report of the export.
        rows: A line for each explained digit.
        pointing: How often a map's maximum was on its digit, as text.
    """

    report: Report
    rows: list[str]
    pointing: str

    def to_dict(self) -> dict[str, Any]:
        """Return the summary as plain JSON types."""
        return {
            "report": self.report.to_dict(),
            "rows": self.rows,
            "pointing": self.pointing,
        }


def export_digits(path: Path, **more: Any) -> Report:
    """Export the bundled model with its weights, labels and transform.

    Args:
        path: Where to write the artifact.
        **more: Further arguments of `export`.

    Raises:
        GraftcamError: The export failed.
    """
    import torch

    from ..exporter import Score, TorchExport, export
    from .model import build

    model = build()
    model.load_state_dict(torch.load(WEIGHTS, weights_only=True))
    return export(
        model, path, (torch.zeros(1, 3, SIZE, SIZE),), labels=LABELS, preprocess=TRANSFORM,
        score=Score(activation="sigmoid"), trace=TorchExport(output_names=["logits"]),
        name="graftcam.demo.model:build", **more,
    )  # fmt: skip


def explain_digits(folder: Path, progress: Callable[[str], None]) -> Summary:
    """Export to ``folder`` and explain each digit of each bundled image; writes `FILES`.

    Raises:
        GraftcamError: As `export_digits`, or a file cannot be written.
    """
    artifact, picture = (folder / name for name in FILES)
    report = export_digits(artifact, progress=progress)
    progress("explain")
    explainer = Explainer(artifact)
    rows: list[str] = []
    panels: list[NDArray[np.uint8]] = []
    landed: list[bool] = []
    for image in images():
        found = explainer.explain(image.path, [box.label for box in image.boxes])
        panels.append(found.panel(height=240))
        for entry, hit in zip(found.to_dict()["classes"], hits(found, image.boxes), strict=True):
            landed.append(hit)
            rows.append(
                f"{found.name}  {entry['label']:<6} p = {entry['probability']:.3f}  maximum "
                f"{'on' if hit else 'beside'} the digit"
            )
    write_image(picture, overview(panels))
    pointing = (
        f"pointing game: {sum(landed)} of {len(landed)} maxima on the right digit (bundled images)"
    )
    if importlib.util.find_spec("sklearn") is not None:
        progress(f"pointing game on {_CANVASES} test canvases")
        pointing += f"; {pointing_rate(explainer):.1%} on {_CANVASES} test canvases"
    return Summary(report, rows, pointing)


def points_at(heatmap: NDArray[np.float32], box: Box) -> bool:
    """Play the pointing game (Zhang et al., 2016), without any tolerance around the box."""
    y, x = divmod(int(heatmap.argmax()), heatmap.shape[1])
    return bool(heatmap.max() > 0) and Box(x, y, 1, 1, box.label).overlaps(box)


def hits(found: Explanation, boxes: Sequence[Box]) -> list[bool]:
    """Play it with the map of each requested digit."""
    return [points_at(heat, box) for heat, box in zip(found.heatmaps, boxes, strict=True)]


def pointing_rate(explainer: Explainer) -> float:
    """Return the share of digits on test canvases whose map has its maximum in their box."""
    from .data import draw, load_glyphs

    canvases = draw(load_glyphs("heldout"), _CANVASES, _SEED)
    landed: list[bool] = []
    for image, boxes in zip(canvases.images, canvases.boxes, strict=True):
        landed += hits(explainer.explain(image, [box.label for box in boxes]), boxes)
    return sum(landed) / len(landed)


def overview(panels: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Stack panels vertically, padded with white to the same width."""
    width = max(one.shape[1] for one in panels)
    padded = [
        np.pad(one, ((0, 0), (0, width - one.shape[1]), (0, 0)), constant_values=255)
        for one in panels
    ]
    return np.concatenate(padded)
