"""The table of steps that random graphs are made of; modules of steps fill it on import."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

from support.operators.graph_builder import Builder, Shape

Make: TypeAlias = Callable[[Builder, str, Shape], None]


@dataclass(frozen=True)
class Step:
    """Operators with attributes that fit the value they take.

    Attributes:
        make: Adds them to a graph, given the latest value's name and shape.
        ranks: Ranks of the values that it takes, the batch not counted.
        since: The first opset that has all of its operators.
        measured: Only ONNX Runtime shows which shape comes out, and only it is right about the
            values: the ONNX reference evaluator is not.
        rare: Comes up less often than others: few models have it.
    """

    make: Make
    ranks: tuple[int, ...]
    since: int
    measured: bool
    rare: bool = False

    @property
    def name(self) -> str:
        """What a record calls it."""
        return self.make.__name__


STEPS: list[Step] = []


def step(
    *ranks: int, since: int = 11, measured: bool = False, rare: bool = False
) -> Callable[[Make], Make]:
    """Register a step for values of these ranks; all of them by default."""

    def register(make: Make) -> Make:
        STEPS.append(Step(make, ranks or (1, 2, 3, 4), since, measured, rare))
        return make

    return register
