"""A `BoxExplanation` is the result for one image of a detector: its boxes, and a map for each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Self, SupportsIndex

from ..boxes.detections import Detection, Detections
from ..inputs.image_files import Pixels
from ..spec.detector import TARGETS
from .box_figure import box_sheet, framed, numbered
from .class_map import ClassMap, class_map
from .explanation import Explanation
from .explanation_data import finite
from .render import Look, Sheet


@dataclass(frozen=True, eq=False)
class BoxMap(ClassMap):
    """One explained box: the attributes of `ClassMap`, and where the box lies.

    Its ``score`` is what was differentiated: the class's logit, or an edge in pixels of the model's
    input. Its ``probability`` is that of the detection, for the class.

    Attributes:
        detection: The box.
        why: ``class``, or the edge that is explained.
        share: The share of the map's positive values that lies in the box; None: the map is empty.
    """

    detection: Detection
    why: str
    share: float | None

    @property
    def box(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom in pixels of the image."""
        return self.detection.box


@dataclass(frozen=True, eq=False)
class BoxExplanation(Explanation):
    """An image's detections, and a map for each that was explained.

    ``explanation[0]`` is the first map as a `BoxMap`, ``explanation["cat"]`` the first of a cat,
    ``explanation["cat left"]`` the first of a cat's left edge. The lists ``classes``, ``labels``,
    ``scores``, ``maps`` and ``status`` have an entry for each map.

    Attributes:
        detections: The image's boxes; one without a map was not asked for, or beyond the limit.
        explained: The box of each map.
        whys: Its target: ``class``, or an edge.
        shares: The share of each map's positive values that lies in its box; None: it is empty.
    """

    detections: Detections = field(kw_only=True)
    explained: list[Detection] = field(kw_only=True)
    whys: list[str] = field(kw_only=True)
    shares: list[float | None] = field(kw_only=True)

    def __getitem__(self, which: SupportsIndex | str) -> BoxMap:
        """Return one map, by its position or the first one's label; see `Explanation`."""
        return self._box_map(self.position(which))

    def __iter__(self) -> Iterator[ClassMap]:
        return (self._box_map(position) for position in range(len(self.classes)))

    def probability(self, position: int) -> float | None:
        """Return the probability of a box's class; None for an edge."""
        return self.explained[position].score if self.whys[position] == TARGETS[0] else None

    def draw_input(self, height: int | None = None) -> Pixels:
        """Draw the image with its numbered boxes."""
        return numbered(self.view, self.detections, height)

    def draw_map(self, position: int, height: int | None, look: Look) -> Pixels:
        """Draw one map with its box."""
        drawn = super().draw_map(position, height, look)
        return framed(drawn, self.view, self.explained[position], self.whys[position])

    def only(self, positions: Sequence[int]) -> Self:
        """Return the explanation of some of its maps; all boxes stay numbered on the image."""
        each = ("explained", "whys", "shares")
        chosen: Any = {name: [getattr(self, name)[at] for at in positions] for name in each}
        return replace(super().only(positions), **chosen)

    def sheet(self, height: int | None, look: Look) -> Sheet:
        """Arrange the image with its numbered boxes, each box's map, and each class's.

        A class's panel is the maximum of its boxes' maps, each divided by its own maximum; it is
        left out for a class with one box.
        """
        return box_sheet(self, self.detections, self.explained, self.whys, self.shares, height,
                         look)  # fmt: skip

    def to_dict(self, maps: bool = False, positions: Sequence[int] | None = None) -> dict[str, Any]:
        """Return a summary for JSON; ``boxes`` are detections, ``best`` is the best candidate."""
        summary = super().to_dict(maps, positions)
        shown = range(len(self.classes)) if positions is None else positions
        for entry, position in zip(summary["classes"], shown, strict=True):
            share = self.shares[position]
            entry.update(
                number=self.explained[position].number,
                why=self.whys[position],
                share=None if share is None else finite(share),
            )
        best = self.detections.best
        boxes = {one.number: one for one in self.detections}
        # What a run of slots shows, only explained ones know.
        boxes.update({one.number: one for one in self.explained})
        return {
            **summary,
            "boxes": [one.to_dict() for one in boxes.values()],
            "best": None if best is None else best.to_dict(),
            "near_miss": self.detections.near_miss,
        }

    def _box_map(self, position: int) -> BoxMap:
        return BoxMap(
            **vars(class_map(self, position)),
            detection=self.explained[position],
            why=self.whys[position],
            share=self.shares[position],
        )
