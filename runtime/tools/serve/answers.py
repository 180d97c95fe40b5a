"""These functions make the answer of a request from an explanation: JSON, and pictures."""

from __future__ import annotations

import base64
import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...errors import InputError
from ...inputs.preprocess import Placement
from ...inputs.scores import table_of
from ...output.box_explanation import BoxExplanation
from ...output.explanation import Explanation
from ...output.explanation_data import finite
from ...output.render import encode_image
from ...spec import Spec
from .asked import Asked

_BEST = 5  # predictions of an answer


def answer(found: Explanation, spec: Spec, asked: Asked) -> dict[str, Any]:
    """Return an explanation in JSON's types.

    Args:
        found: The explanation.
        spec: The artifact's metadata about the explained output.
        asked: Which pictures, and how they are drawn.
    """
    entries = [_explained(found, position, asked) for position in range(len(found.classes))]
    data: dict[str, Any] = {
        "predictions": predictions(found, spec),
        "explanations": entries,
    }
    if isinstance(found, BoxExplanation):
        best = found.detections.best
        data["detections"] = [one.to_dict() for one in found.detections]
        data["best"] = None if best is None else best.to_dict()
        data["near_miss"] = found.detections.near_miss
    if "panel" in asked.images:
        data["panel"] = _text(picture_of(found, asked))
    return data


def predictions(found: Explanation, spec: Spec) -> list[dict[str, Any]]:
    """Return the best classes with scores and probabilities; none of an output with positions."""
    if isinstance(found, BoxExplanation) or spec.class_index is None:
        return []
    table = table_of(spec.score, found.output[None])[0]
    if table.ndim != 1:
        return []
    shares = found.probabilities
    order = table if shares is None or shares.ndim != 1 else shares
    best = np.argsort(-order, kind="stable")[:_BEST]
    return [
        {
            "class": int(place),
            "label": str(place) if spec.labels is None else spec.labels[place],
            "score": finite(table[place]),
            "probability": None if order is table else finite(order[place]),
        }
        for place in best
    ]


def picture_of(found: Explanation, asked: Asked) -> bytes:
    """Return the overlay of the first class as a PNG; the panel if it is asked for.

    Raises:
        InputError: Nothing is explained.
    """
    if "panel" in asked.images:
        return encode_image(found.panel(asked.height, **asked.look))
    if not found.classes:
        raise InputError("nothing is explained, and there is no overlay; ask for JSON")
    return encode_image(found.draw_class(0, asked.height, asked.look))


def place_of(placement: Placement | None) -> list[float] | None:
    """Return the corners of the model's input in pixels of the image: x0, y0, x1, y1.

    They can lie outside of it, where the input is padded. None: the input is no image.
    """
    if placement is None:
        return None
    (top, left), (height, width) = placement.offset, placement.size
    down, across = (
        whole / resized for whole, resized in zip(placement.image, placement.resized, strict=True)
    )
    corners = (left * across, top * down, (left + width) * across, (top + height) * down)
    return [round(corner, 3) for corner in corners]


def grey(heatmap: NDArray[np.float32], *, signed: bool) -> NDArray[np.uint8]:
    """Return a heatmap as 8-bit grey: 255 is most evidence; of signed ones 128 is none."""
    scaled = heatmap * 127 + 128 if signed else heatmap * 255
    return np.rint(scaled).astype(np.uint8)


def _explained(found: Explanation, position: int, asked: Asked) -> dict[str, Any]:
    """Return one explained class, or box."""
    raw = found.maps[position]
    entry: dict[str, Any] = {
        "class": found.classes[position],
        "label": found.labels[position],
        "score": finite(found.scores[position]),
        "probability": found.probability(position),
        "method": found.method,
        "layer": found.layer,
        "signed": found.signed,
        "minimum": _bound(raw, np.min),
        "maximum": _bound(raw, np.max),
        "empty": found.status[position] != "ok",
        "status": found.status[position],
        "box": None,
        "map": {"shape": list(raw.shape), "data": _text(raw.astype("<f4").tobytes())},
        "place": place_of(found.placement),
    }
    if isinstance(found, BoxExplanation):
        box = found.explained[position]
        entry.update(box=[round(side, 2) for side in box.box], number=box.number,
                     why=found.whys[position])  # fmt: skip
    if "heatmap" in asked.images and len(found.view.shape) == 2:
        pixels = grey(found.heatmap(position), signed=found.signed)
        entry["heatmap"] = _text(encode_image(pixels))
    if "overlay" in asked.images:
        entry["overlay"] = _text(encode_image(found.draw_class(position, asked.height, asked.look)))
    return entry


def _bound(raw: NDArray[Any], of: Any) -> float | None:
    value = float(of(raw)) if raw.size else math.nan
    return finite(value)


def _text(data: bytes) -> str:
    return base64.b64encode(data).decode("ascii")


def size_of(found: Explanation) -> tuple[int, int]:
    """Return height and width of the image; of other inputs those of its drawing."""
    shape = found.view.shape if len(found.view.shape) == 2 else found.image.shape[:2]
    return int(shape[0]), int(shape[1])
