"""`measure` says how well the maps of an image's boxes lie on their boxes, and whether they count.

The score that is *left* is a check without gradients: the places that a map shows most strongly,
two hundredths of the image, are blurred, and the detector looks again.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from graftcam.runtime import Explainer
from graftcam.runtime.inputs.image_files import read_image

from .subjects import METHODS

Row = dict[str, Any]
_BLURRED = 0.02  # of the image's pixels
_SIGMA = 1 / 20  # of the image's shorter side: no feature of a face or letter is left


def measure(
    explainer: Explainer, image: Path, classes: Sequence[str] | None
) -> tuple[list[Row], list[Row]]:
    """Return an image's boxes, and a row for each method and box."""
    pixels = read_image(image)
    chosen = None if classes is None else list(classes)
    boxes: list[Row] = []
    rows: list[Row] = []
    for method in METHODS:
        found = explainer.explain_boxes(pixels, classes=chosen, method=method)
        masks = [_inside(one.box, pixels.shape) for one in found.explained]
        for place, one in enumerate(found.explained):
            heat = np.maximum(found.heatmaps[place], 0)
            others = [mask for mask in masks if mask is not masks[place]]
            elsewhere = np.logical_or.reduce([np.zeros_like(masks[place]), *others])
            elsewhere &= ~masks[place]
            empty = found.status[place] != "ok"
            left = 1.0 if empty else _left(explainer, pixels, heat, one, chosen)
            rows.append({
                "method": method, "box": one.number, "empty": empty,
                "own": 0.0 if empty else found.shares[place],
                "others": 0.0 if empty else float(heat[elsewhere].sum() / heat.sum()),
                "left": left,
            })  # fmt: skip
        boxes = [
            {"number": one.number, "label": one.label, "score": round(one.score, 3),
             "box": [round(side) for side in one.box], "level": one.level}
            for one in found.detections
        ]  # fmt: skip
    return boxes, rows


def averages(rows: Sequence[Row]) -> list[Row]:
    """Return the means over the boxes, by method."""
    found: list[Row] = []
    for method in METHODS:
        own = [row for row in rows if row["method"] == method]
        if own:
            means = {name: round(float(np.mean([row[name] for row in own])), 3)
                     for name in ("own", "others", "left")}  # fmt: skip
            empty = sum(row["empty"] for row in own)
            found.append({"method": method, "boxes": len(own), "empty": empty, **means})
    return found


def _left(
    explainer: Explainer, pixels: Any, heat: Any, box: Any, classes: list[str] | None
) -> float:
    """The probability of a box after its strongest places are blurred, over that before."""
    count = max(1, round(_BLURRED * heat.size))
    strongest = heat >= np.partition(heat, -count, axis=None)[-count]
    sigma = _SIGMA * min(heat.shape)
    blurred = np.where(strongest[..., None], cv2.GaussianBlur(pixels, (0, 0), sigma), pixels)
    again = explainer.explain_boxes(blurred, box_index=[box.index], classes=classes)
    same = again.detections[0]
    return same.score / box.score if same.class_id == box.class_id else 0.0


def _inside(corners: Sequence[float], shape: Sequence[int]) -> Any:
    left, top, right, bottom = (round(side) for side in corners)
    mask = np.zeros(shape[:2], bool)
    mask[top:bottom, left:right] = True
    return mask
