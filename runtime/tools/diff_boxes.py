"""`BoxPair` compares where two detectors look, box by box."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ..boxes.detections import Corners
from ..errors import ImageError, InputError
from ..inputs.image_files import Pixels
from ..output.box_explanation import BoxExplanation
from ..output.render import panel
from .diff import Change, Pair, change_of

SAME_PLACE = 0.5
"""Intersection over union from which two boxes of one class are the same object."""
NO_BOX = "no box"


@dataclass(frozen=True)
class BoxChange(Change):
    """The comparison of two detectors on one box; see `Change`.

    ``label`` tells the box: its number, class and corners. Of a box that only one of them finds,
    the other predicts ``no box``, its map counts as empty, and all figures are 0.

    Attributes:
        numbers: The box's number among the detections of each; None if there is none.
    """

    numbers: tuple[int | None, int | None]


class BoxPair(Pair):
    """Two detectors that get the same images; see `Pair`.

    Each box of the first is compared with the second's box of the same class that overlaps it most.
    """

    subject = "box"
    nothing = "neither detector finds a box in them; give images with objects"

    def changes(self, path: Path) -> list[Change]:
        """Compare the two on all boxes of one image."""
        found, other = self._both(path)
        pairs = match(found, other)
        changes: list[Change] = []
        for place, there in pairs:
            if there is None:
                changes.append(_lost(path, found, place, first=True))
                continue
            box, two = found.explained[place], other.explained[there]
            made = change_of(path, _named(found, place), (box.label, two.label), (found, place),
                             (other, there))  # fmt: skip
            changes.append(BoxChange(**vars(made), numbers=(box.number, two.number)))
        known = {there for _, there in pairs}
        new = [there for there in range(len(other)) if there not in known]
        return [*changes, *(_lost(path, other, there, first=False) for there in new)]

    def image(self, change: Change) -> Pixels:
        """Draw an image and both maps of one box; where there is no box, the image alone."""
        assert isinstance(change, BoxChange)
        images, titles = list[Pixels](), list[str]()
        sources = zip((self.first, self.second), self._both(Path(change.path)), change.numbers,
                      change.predicted, strict=True)  # fmt: skip
        for explainer, found, number, label in sources:
            images += [] if images else [found.image]
            places = [i for i, box in enumerate(found.explained) if box.number == number]
            images.append(found.draw(places[0]) if places else found.image)
            titles.append(f"{explainer.path.stem}: {label}")
        return panel(images, [change.label, *titles])

    def _both(self, path: Path) -> tuple[BoxExplanation, BoxExplanation]:
        try:
            found, other = (
                one.explain_boxes(path, inputs=self.inputs) for one in (self.first, self.second)
            )
        except InputError as error:  # a file of an array that the model does not take
            raise ImageError(str(error)) from error
        return found, other


def match(first: BoxExplanation, second: BoxExplanation) -> list[tuple[int, int | None]]:
    """Return for each box of the first the second's box of the same class at the same place.

    Better boxes choose first, and no box is chosen twice.
    """
    free = list(range(len(second)))
    pairs: list[tuple[int, int | None]] = []
    for place, box in enumerate(first.explained):
        shares = {
            there: overlap_of(box.box, second.explained[there].box)
            for there in free
            if second.explained[there].label == box.label
        }
        best = max(shares, key=shares.__getitem__, default=None)
        if best is not None and shares[best] < SAME_PLACE:
            best = None
        if best is not None:
            free.remove(best)
        pairs.append((place, best))
    return pairs


def overlap_of(one: Corners, other: Corners) -> float:
    """Return the intersection over union of two boxes."""
    shared = _area(
        [max(one[0], other[0]), max(one[1], other[1]), min(one[2], other[2]), min(one[3], other[3])]
    )
    union = _area(one) + _area(other) - shared
    return shared / union if union > 0 else 0.0


def _area(box: Sequence[float]) -> float:
    return max(0.0, box[2] - box[0]) * max(0.0, box[3] - box[1])


def _named(found: BoxExplanation, place: int) -> str:
    box = found.explained[place]
    left, top, right, bottom = (round(side) for side in box.box)
    return f"{box.number} {box.name} ({left},{top})-({right},{bottom})"


def _lost(path: Path, found: BoxExplanation, place: int, *, first: bool) -> BoxChange:
    """A box that only one detector finds."""
    box, status = found.explained[place], found.status[place]
    return BoxChange(
        str(path), _named(found, place), (box.label, NO_BOX) if first else (NO_BOX, box.label),
        (status, "zero") if first else ("zero", status), 0.0, 0.0, None,
        (box.number, None) if first else (None, box.number),
    )  # fmt: skip
