"""`stream` explains any number of examples; one that fails gives a `Failure` and stops nothing."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from typing import Any

import cv2

from ..errors import GraftcamError, ImageError, InputError, RunError, first_line
from ..inorder import batched, in_order
from ..inputs.examples import Example, Given
from ..inputs.names import Names
from ..output.explanation import Explanation
from .pipeline import explain_examples
from .plan import Plan


@dataclass(frozen=True, eq=False)
class Failure:
    """An example that could not be explained.

    Attributes:
        image: The example as the caller passed it.
        error: The reason, with the remedy.
    """

    image: Any
    error: GraftcamError


# What one example can cause. Other errors are of the session or the request, and stop everything.
OF_ONE_EXAMPLE = (ImageError, InputError, RunError, MemoryError, OSError, cv2.error)


def failure_of(image: Any, error: Exception) -> Failure:
    """Return the failure for one of the errors `OF_ONE_EXAMPLE`."""
    if isinstance(error, GraftcamError):
        return Failure(image, error)
    what = "it needs more memory than there is" if isinstance(error, MemoryError) else "it failed"
    return Failure(image, ImageError(f"{what}: {first_line(error)}"))


def load(plan: Plan, given: Given, name: str) -> Example | Failure:
    """Read an example; return a Failure if it cannot be read."""
    try:
        return plan.reader.read(given, name, plan.inputs)
    except OF_ONE_EXAMPLE as error:
        return failure_of(given, error)


def explain_each(plan: Plan, entries: Sequence[Example | Failure]) -> list[Explanation | Failure]:
    """Return an explanation, by the plan's only method, or a Failure for each entry.

    Raises:
        GraftcamError: An error that no single image causes, such as a broken session.
    """
    found = iter(_explain_all(plan, [one for one in entries if isinstance(one, Example)]))
    return [next(found) if isinstance(one, Example) else one for one in entries]


def _explain_all(plan: Plan, examples: Sequence[Example]) -> list[Explanation | Failure]:
    """Explain all examples together; if that fails, one by one, so that only bad ones fail."""
    if not examples:
        return []
    try:
        return [one for (one,) in explain_examples(plan, examples)]
    except OF_ONE_EXAMPLE as error:
        if len(examples) == 1:
            return [failure_of(examples[0].source, error)]
    alone = (plan.part(slice(row, row + 1)) for row in range(len(examples)))
    return [
        found
        for own, one in zip(alone, examples, strict=True)
        for found in _explain_all(own, [one])
    ]


def stream(
    plan: Plan, given: Iterable[Given], batch: int, readers: int
) -> Generator[Explanation | Failure]:
    """Read in ``readers`` threads, explain in another one, and yield in order.

    While the caller draws one batch, the next one is explained and the examples of the one after
    that are read: at most five batches are in memory.
    """
    names = Names()
    named = ((one, names.distinct(plan.reader.name_of(one))) for one in given)
    entries = in_order(lambda pair: load(plan, *pair), named, readers, ahead=batch)
    with closing(entries):
        found = in_order(partial(explain_each, plan), batched(entries, batch), 1, ahead=1)
        with closing(found):
            for results in found:
                yield from results
