"""`box_gallery` shows what the exported detector finds in the given images, and why."""

from __future__ import annotations

import statistics
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ....runtime.explainer import Explainer
from ....runtime.output.box_explanation import BoxExplanation
from ....runtime.output.box_figure import numbered
from ...verify.runs.inputs import Images
from .pictures import MOST, data_uri

BOXES = 8  # explained on one image


@dataclass(frozen=True)
class BoxShown:
    """One box of an image.

    Attributes:
        title: Its number, class and probability.
        note: The share of its map that lies inside, or why there is no map.
        image: The map over the image as a data URI.
    """

    title: str
    note: str
    image: str


@dataclass(frozen=True)
class ImageShown:
    """One image's row on the page.

    Attributes:
        name: Its file.
        heading: How many boxes there are, or the best candidate.
        image: The image with its numbered boxes as a data URI.
        boxes: The explained ones, the best first.
    """

    name: str
    heading: str
    image: str
    boxes: list[BoxShown]


@dataclass(frozen=True)
class BoxGallery:
    """All rows, and the time for one image.

    Attributes:
        rows: One for each image.
        seconds: Median time of detecting and explaining an image.
        left_out: Number of images that are not shown.
    """

    rows: list[ImageShown]
    seconds: float
    left_out: int = 0


def box_gallery(path: Path, images: Images) -> BoxGallery:
    """Detect and explain with the artifact at ``path``, as its users will."""
    explainer = Explainer(path, "cpu")
    rows: list[ImageShown] = []
    taken: list[float] = []
    for name, image in zip(images.names[:MOST], images.images[:MOST], strict=True):
        since = time.perf_counter()
        found = explainer.explain_boxes(image, limit=BOXES)
        taken.append(time.perf_counter() - since)
        picture = data_uri(numbered(found.view, list(found.detections)))
        rows.append(ImageShown(name, _heading(found), picture, _boxes(found)))
    seconds = statistics.median(taken[1:] or taken)  # the first run of a session is slow
    return BoxGallery(rows, seconds, len(images.images) - len(rows))


def _heading(found: BoxExplanation) -> str:
    detections, best = found.detections, found.detections.best
    count = len(detections)
    if count:
        hidden = count - len(found)
        rest = f", the best {len(found)} explained" if hidden else ""
        return f"{count} box{'es' * (count != 1)}{rest}"
    nothing = f"no box reaches {detections.conf:g}"
    return f"{nothing}; the best candidate is {best.name} {best.probability}" if best else nothing


def _boxes(found: BoxExplanation) -> list[BoxShown]:
    shown: list[BoxShown] = []
    pairs: Sequence[tuple[int, float | None]] = list(enumerate(found.shares))
    for position, share in pairs:
        box = found.explained[position]
        note = "the map is empty" if share is None else f"{share:.0%} of its map lies in the box"
        title = f"{box.number} {box.name} {box.probability}"
        shown.append(BoxShown(title, note, data_uri(found.draw(position))))
    return shown
