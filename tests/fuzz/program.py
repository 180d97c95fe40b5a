"""A random model is a list of steps, each with the choices that it made.

The same choices give the same model again, and fewer or smaller ones a simpler model: that is all
that shrinking needs to know.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Generic, Protocol, TypeVar

MOST_STEPS = 6


class Choices:
    """Choices as they are made, at random or as they were made before.

    Attributes:
        taken: The choices so far, by their places among what there was to choose from.
    """

    def __init__(self, source: random.Random | Sequence[int]) -> None:
        self._source = source
        self.taken: list[int] = []

    def __call__(self, count: int) -> int:
        """One of so many; the first, where a record has no more or knew fewer."""
        if isinstance(self._source, random.Random):
            chosen = self._source.randrange(count)
        else:
            place = len(self.taken)
            known = self._source[place] if place < len(self._source) else 0
            chosen = known if known < count else 0
        self.taken.append(chosen)
        return chosen


@dataclass(frozen=True)
class Program:
    """What decides a random model.

    Attributes:
        opening: The choices before the first step, such as the input's shape.
        steps: The steps by name, with their choices.
        closing: The choices behind the last step.
    """

    opening: tuple[int, ...]
    steps: tuple[tuple[str, tuple[int, ...]], ...]
    closing: tuple[int, ...]


class Growing(Protocol):
    """What both kinds of builders have."""

    choose: Any
    values: list[Any]

    @property
    def latest(self) -> tuple[str, Any]:
        """Name and shape of the latest value."""
        ...

    def state(self) -> Any:
        """What `restore` needs; the values are its third part."""
        ...

    def restore(self, state: Any) -> None:
        """Go back to a state."""
        ...


def took(grown: Growing, make: Callable[..., Any], choices: Choices) -> bool:
    """Take a step, if it runs behind the latest value; else leave everything as it was."""
    before, grown.choose = grown.state(), choices
    try:
        make(grown, *grown.latest)
    except Exception:  # whatever it is, this step does not fit here
        grown.restore(before)
        return False
    return len(grown.values) > len(before[2])


Grown = TypeVar("Grown")
Made = TypeVar("Made", covariant=True)


class Kind(Protocol, Generic[Grown, Made]):
    """How models of one kind grow."""

    def start(self, choices: Choices) -> Grown:
        """An empty model."""
        ...

    def fitting(self, grown: Grown) -> list[str]:
        """The steps that take the latest value; likely ones several times."""
        ...

    def grow(self, grown: Grown, name: str, choices: Choices) -> bool:
        """Take a step; False, and nothing has changed, if it cannot be taken."""
        ...

    def finish(self, grown: Grown, choices: Choices) -> Made:
        """The model."""
        ...


def draw(kind: Kind[Any, Any], seed: int) -> Program:
    """A random program; the seed decides it."""
    rng = random.Random(seed)
    opening, closing = Choices(rng), Choices(rng)
    grown = kind.start(opening)
    wanted = rng.randint(1, MOST_STEPS)
    steps = list[tuple[str, tuple[int, ...]]]()
    for _ in range(3 * wanted):
        choices, name = Choices(rng), rng.choice(kind.fitting(grown))
        if kind.grow(grown, name, choices):
            steps.append((name, tuple(choices.taken)))
        if len(steps) == wanted:
            break
    kind.finish(grown, closing)
    return Program(tuple(opening.taken), tuple(steps), tuple(closing.taken))


def build(kind: Kind[Any, Made], program: Program) -> Made:
    """The model of a program; steps that do not fit any more are left out."""
    grown = kind.start(Choices(program.opening))
    for name, choices in program.steps:
        if name in kind.fitting(grown):
            kind.grow(grown, name, Choices(choices))
    return kind.finish(grown, Choices(program.closing))
