"""`Detections` are the boxes that a detector found in one image."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, overload

import numpy as np
from numpy.typing import NDArray

Corners = tuple[float, float, float, float]
_SHORT = 0.005  # the smallest score that two decimals show


@dataclass(frozen=True)
class Detection:
    """One box.

    Attributes:
        number: Its number among the detections of the image, from 1; the best has 1.
        box: Left, top, right and bottom in pixels of the image.
        score: Its probability.
        class_id: Its class.
        label: The class's name; the id as text if the artifact stores no names.
        index: The box's number in the model's tables, or its slot: what `box_index` takes.
        level: The number of the level that predicts it, from 1, the finest; None: of no level.
        layer: The level's layer.
        anchor: The box behind a slot, once that is known.
        input_box: The corners in pixels of the model's input.
    """

    number: int
    box: Corners
    score: float
    class_id: int
    label: str
    index: int
    level: int | None = None
    layer: str | None = None
    anchor: int | None = None
    input_box: Corners = field(default=(0.0, 0.0, 0.0, 0.0), repr=False)

    @property
    def name(self) -> str:
        """The label for people: a bare id would be one more number among the others."""
        return f"class {self.label}" if self.label == str(self.class_id) else self.label

    @property
    def probability(self) -> str:
        """The score as text of two digits; a near miss may be far below a hundredth."""
        return (
            f"{self.score:.2f}" if self.score >= _SHORT or not self.score else f"{self.score:.1g}"
        )

    def to_dict(self) -> dict[str, Any]:
        """Return a summary for JSON."""
        return {
            "number": self.number, "box": [round(side, 2) for side in self.box],
            "score": self.score, "class_id": self.class_id, "label": self.label,
            "box_index": self.index, "level": self.level, "layer": self.layer,
            "anchor": self.anchor,
        }  # fmt: skip


@dataclass(frozen=True)
class Detections(Sequence[Detection]):
    """The boxes of one image, the best first.

    ``len()`` counts them; an index, from 0, gives one as a `Detection`.

    Attributes:
        found: The boxes.
        best: The best candidate, whether or not it reaches the threshold; None: there is none.
        conf: The threshold.
        near_miss: Whether the only box is the best candidate, below the threshold.
        requested: Whether the caller named the boxes by their `Detection.index`.
    """

    found: tuple[Detection, ...]
    best: Detection | None
    conf: float
    near_miss: bool = False
    requested: bool = False

    @overload
    def __getitem__(self, index: int) -> Detection: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Detection]: ...
    def __getitem__(self, index: int | slice) -> Detection | Sequence[Detection]:
        return self.found[index]

    def __len__(self) -> int:
        return len(self.found)

    def __iter__(self) -> Iterator[Detection]:
        return iter(self.found)

    @property
    def boxes(self) -> NDArray[np.float32]:
        """Left, top, right and bottom in pixels of the image, float32 [boxes, 4]."""
        return np.array([one.box for one in self.found], np.float32).reshape(-1, 4)

    @property
    def scores(self) -> NDArray[np.float32]:
        """The probabilities, float32 [boxes]."""
        return np.array([one.score for one in self.found], np.float32)

    @property
    def classes(self) -> NDArray[np.int64]:
        """The classes, int64 [boxes]."""
        return np.array([one.class_id for one in self.found], np.int64)

    @property
    def labels(self) -> list[str]:
        """Their names."""
        return [one.label for one in self.found]

    @property
    def indices(self) -> NDArray[np.int64]:
        """What `box_index` takes, int64 [boxes]."""
        return np.array([one.index for one in self.found], np.int64)
