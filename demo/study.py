"""This study examines false alarms: which digit caused the model to report an absent class?

    python -m graftcam.demo.study --to out/study

It takes the test canvases for which the model reports an absent digit, finds the digit on which
that class's map peaks, hides it, and runs the model again. Hiding another digit of the same canvas
is the control: if the maps were no better than chance, both would have the same effect.
"""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from numpy.typing import NDArray

from ..runtime import Explainer
from ..runtime.output.render import panel, write_image
from .data import LABELS, Box, draw, load_glyphs
from .run import export_digits, overview, points_at

_SEED = 5  # differs from the seeds of the other sets of canvases
_SHOWN = 4
_BORDER = 3  # pixels around a digit's box that its shadow darkens

Canvas = NDArray[np.uint8]


@dataclass(frozen=True)
class Alarm:
    """One class that was reported for a canvas that does not show it.

    Attributes:
        image: The canvas, uint8 [96, 96, 3].
        label: The reported class.
        before: Its probability.
        source: The digit on which its map peaks; None: the map peaks on the clutter.
        after: Its probability with that digit hidden.
        control: Its probability with another digit hidden; None: there is no other.
    """

    image: Canvas
    label: int
    before: float
    source: Box | None
    after: float | None = None
    control: float | None = None


def false_alarms(
    explainer: Explainer, images: Sequence[Canvas], boxes: Sequence[Sequence[Box]]
) -> list[Alarm]:
    """Return all reports of absent digits, each with its cause tested."""
    alarms: list[Alarm] = []
    for found, present in zip(explainer.explain(list(images), []), boxes, strict=True):
        assert found.probabilities is not None
        reported = set(np.flatnonzero(found.probabilities > 0.5).tolist())
        for label in sorted(reported - {box.label for box in present}):
            alarms.append(_examined(explainer, found.image, present, label))
    return alarms


def hide(image: Canvas, box: Box) -> Canvas:
    """Fill a digit's box from its surroundings (Telea, 2004)."""
    mask = np.zeros(image.shape[:2], np.uint8)
    top, left = max(box.y - _BORDER, 0), max(box.x - _BORDER, 0)
    mask[top : box.y + box.h + _BORDER, left : box.x + box.w + _BORDER] = 1
    return cv2.inpaint(image, mask, 3, cv2.INPAINT_TELEA).astype(np.uint8)


def summary(alarms: Sequence[Alarm]) -> dict[str, Any]:
    """Return counts and rates of the study, as plain JSON types."""
    found = [alarm for alarm in alarms if alarm.source is not None]
    paired = [alarm for alarm in found if alarm.control is not None]
    pairs = Counter((LABELS[a.source.label], LABELS[a.label]) for a in found if a.source)
    return {
        "false alarms": len(alarms),
        "peaks on a digit": len(found),
        "silenced by hiding that digit": _silenced([a.after for a in found]),
        "with another digit": len(paired),
        "silenced by hiding another": _silenced([a.control for a in paired]),
        "most frequent": [
            {"digit": digit, "taken for": label, "times": times}
            for (digit, label), times in pairs.most_common(5)
        ],
    }


def image(explainer: Explainer, alarms: Sequence[Alarm]) -> Canvas:
    """Draw a row for each alarm: the canvas, both classes' maps, the canvas without the digit."""
    return overview([_row(explainer, alarm) for alarm in alarms if alarm.source is not None])


def main() -> None:
    """Run the study and write ``study.json`` and ``study.jpg``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-o", "--to", type=Path, default=Path("out/study"), help="folder")
    parser.add_argument("--canvases", type=int, default=3000, help="how many to draw")
    options = parser.parse_args()
    options.to.mkdir(parents=True, exist_ok=True)
    artifact = options.to / "digits.onnx"
    export_digits(artifact)
    explainer = Explainer(artifact)
    drawn = draw(load_glyphs("heldout"), options.canvases, _SEED)
    alarms = false_alarms(explainer, list(drawn.images), drawn.boxes)
    text = json.dumps({"canvases": options.canvases, **summary(alarms)}, indent=2)
    (options.to / "study.json").write_text(text + "\n", "utf-8")
    clearest = sorted(alarms, key=lambda alarm: -alarm.before)[:_SHOWN]
    write_image(options.to / "study.jpg", image(explainer, clearest))
    print(text)


def _examined(explainer: Explainer, image: Canvas, present: Sequence[Box], label: int) -> Alarm:
    found = explainer.explain(image, label)[0]
    source = next((box for box in present if points_at(found.heatmap, box)), None)
    other = next((box for box in present if box != source), None)
    assert found.probability is not None
    if source is None:
        return Alarm(image, label, found.probability, None)
    after, control = (
        None if box is None else explainer.explain(hide(image, box), label)[0].probability
        for box in (source, other)
    )
    return Alarm(image, label, found.probability, source, after, control)


def _silenced(probabilities: Sequence[float | None]) -> float | None:
    """Return the share of alarms whose probability is now below one half."""
    silenced = [value < 0.5 for value in probabilities if value is not None]
    return round(sum(silenced) / len(silenced), 3) if silenced else None


def _row(explainer: Explainer, alarm: Alarm) -> Canvas:
    assert alarm.source is not None
    assert alarm.after is not None
    wrong, right = explainer.explain(alarm.image, [alarm.label, alarm.source.label])
    titles = [
        "image",
        f"'{wrong.label}'? {alarm.before:.2f}",
        f"'{right.label}' {right.probability:.2f}",
        f"hidden: '{wrong.label}' {alarm.after:.2f}",
    ]
    shown = [alarm.image, wrong.draw(), right.draw(), hide(alarm.image, alarm.source)]
    return panel(shown, titles, height=200)


if __name__ == "__main__":
    main()
