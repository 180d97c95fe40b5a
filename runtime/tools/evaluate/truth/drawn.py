"""`DrawnObjects` are annotations that list objects: those of COCO, Pascal VOC and YOLO."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from ....errors import TruthError
from ....limits import UNPACKED_BYTES
from .outlines import Polygon, RunLengths, paint
from .truth import Annotations, Kind, Truth


@dataclass(frozen=True, eq=False)
class DrawnObject:
    """One object on a photograph.

    Attributes:
        class_id: Its class, by the model's ids.
        box: Left, top, right, bottom; right and bottom are exclusive.
        outline: Polygons or run lengths; None: there is only a box.
        difficult: It is marked as hard to recognise.
    """

    class_id: int
    box: tuple[float, float, float, float]
    outline: list[Polygon] | RunLengths | None = None
    difficult: bool = False


@dataclass(frozen=True, eq=False)
class DrawnPhotograph:
    """What is drawn on one photograph.

    Attributes:
        objects: The objects.
        source: The annotations, for messages.
        size: Height and width of the photograph as it was drawn on; None: not known.
        relative: Coordinates are shares of width and height instead of pixels.
    """

    source: str
    size: tuple[int, int] | None = None
    relative: bool = False
    objects: list[DrawnObject] = field(default_factory=list)


class DrawnObjects(Annotations):
    """Annotations that list objects for each photograph."""

    def __init__(
        self, kind: Kind, photographs: Mapping[str, DrawnPhotograph], unknown: Sequence[str]
    ) -> None:
        """Take what is drawn on each photograph that has annotations, and names without a label.

        Raises:
            TruthError: There is no object.
        """
        self.kind = kind
        self.unknown = list(unknown)
        self._photographs = {name: one for name, one in photographs.items() if one.objects}
        if not self._photographs:
            raise TruthError(
                f"nothing is drawn on the {len(photographs):,} photographs that have annotations; "
                "give annotations with objects"
            )
        self.has_masks = any(
            one.outline is not None for photo in photographs.values() for one in photo.objects
        )
        self._dropped: dict[str, int] = {}

    @property
    def photographs(self) -> list[str]:
        """The photographs that have annotations, sorted."""
        return sorted(self._photographs)

    @property
    def dropped(self) -> int:
        """How many objects lay outside their photographs, of those that `of` was asked for."""
        return sum(self._dropped.values())

    def of(self, path: str, size: tuple[int, int]) -> dict[int, Truth]:
        """Return what is drawn on one photograph; see `Annotations.of`."""
        drawn = self._photographs.get(path)
        if drawn is None:
            return {}
        _check_size(drawn, path, size)
        classes: dict[int, list[DrawnObject]] = {}
        for one in drawn.objects:
            classes.setdefault(one.class_id, []).append(one)
        if self.has_masks and len(classes) * size[0] * size[1] > UNPACKED_BYTES:
            raise TruthError(
                f"{drawn.source}: {len(classes)} masks of {size[1]} x {size[0]} pixels need more "
                f"than {UNPACKED_BYTES / 1e9:.1f} GB; shrink {path} and what is drawn on it"
            )
        made = {place: _truth(drawn, objects, size) for place, objects in classes.items()}
        found = {place: truth for place, truth in made.items() if truth is not None}
        self._dropped[path] = len(drawn.objects) - sum(len(one.boxes) for one in found.values())
        return found


def _check_size(drawn: DrawnPhotograph, path: str, size: tuple[int, int]) -> None:
    """Raise TruthError if the photograph had another size when people drew on it."""
    if drawn.size is not None and drawn.size != size:
        high, wide = drawn.size
        turned = drawn.size == size[::-1]
        raise TruthError(
            f"{drawn.source} was drawn on {wide} x {high} pixels, and {path} has "
            f"{size[1]} x {size[0]}"
            + (" when it stands upright, as its EXIF data say" if turned else "")
            + "; give the photograph that it was drawn on"
        )


def _truth(
    drawn: DrawnPhotograph, objects: Sequence[DrawnObject], size: tuple[int, int]
) -> Truth | None:
    """Return the objects of one class that are on the photograph; None: there are none."""
    height, width = size
    scale = np.array([width, height]) if drawn.relative else np.ones(2)
    boxes = np.array([one.box for one in objects], np.float64) * np.tile(scale, 2)
    boxes = np.clip(boxes, 0, [width, height, width, height])
    left = np.flatnonzero((boxes[:, :2] < boxes[:, 2:]).all(axis=1)).tolist()
    if not left:
        return None
    inside = [objects[place] for place in left]
    outlines: list[list[Polygon] | RunLengths] = []
    for one in inside:
        if isinstance(one.outline, RunLengths) and one.outline.size != size:
            high, wide = one.outline.size
            raise TruthError(
                f"{drawn.source}: a mask has {wide} x {high} pixels, and the photograph "
                f"{width} x {height}; give masks of the photograph's size"
            )
        if isinstance(one.outline, list):
            outlines.append([polygon * scale for polygon in one.outline])
        elif one.outline is not None:
            outlines.append(one.outline)
    mask = None
    if len(outlines) == len(inside):
        try:
            mask = paint(outlines, size)
        except ValueError as error:
            raise TruthError(
                f"{drawn.source}: damaged run lengths: {error}; write the file again"
            ) from None
        except TruthError as error:
            raise TruthError(f"{drawn.source}: {error}") from None
    # Outlines too thin for a single pixel are none: the boxes remain.
    return Truth(
        boxes[left], mask if mask is not None and mask.any() else None,
        difficult=all(one.difficult for one in inside),
    )  # fmt: skip
