"""A `Part` is a set of rows that are measured in the same way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ..book import Case, Row
from ..subjects import Subjects

_QUICK = 3


@dataclass(frozen=True)
class Bench:
    """What all parts share.

    Attributes:
        subjects: Models and files.
        threads: Threads of each way of running a model.
        quick: A few rounds only.
    """

    subjects: Subjects
    threads: int
    quick: bool

    def rounds(self, full: int) -> int:
        """How often to measure."""
        return min(full, _QUICK) if self.quick else full


@dataclass(frozen=True)
class Part:
    """Rows that are measured in the same way.

    Attributes:
        cases: One for each row.
        measure: Gives the row: ``ratios`` (and ``values`` where they say more) as quartiles by
            name, ``rounds``, and what else the page shows.
    """

    cases: tuple[Case, ...]
    measure: Callable[[Case, Bench], Row]
