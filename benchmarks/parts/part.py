"""A `Case` is one row of the page, with the function that measures it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..book import Row
from ..subjects import Subjects


@dataclass(frozen=True)
class Case:
    """One row that a part measures.

    Attributes:
        part: Name of the part.
        measure: Gives the row's figures: ``ratios`` (and ``values`` where they say more) as
            quartiles by name, and what else the page shows.
        rounds: How often to measure.
        model: Name of the model in torchvision; empty for none.
        layer: Module path of the explained layer; None for the automatic choice.
        images: Images in one run; 0 where that is not in question.
        axis: The quantity that a row of the scaling part varies.
    """

    part: str
    measure: Callable[[Case, Subjects], Row]
    rounds: int
    model: str = ""
    layer: str | None = None
    images: int = 0
    axis: str = ""

    @property
    def key(self) -> str:
        """Stable name of the row."""
        variant = self.axis or self.images or 1
        return f"{self.part}/{self.model}/{self.layer or 'auto'}/{variant}"

    def row(self, subjects: Subjects) -> Row:
        """Measure the row."""
        heading = {
            "model": self.model, "images": self.images, "axis": self.axis, "rounds": self.rounds
        }  # fmt: skip
        return {name: value for name, value in heading.items() if value} | self.measure(
            self, subjects
        )
