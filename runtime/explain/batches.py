"""`parts_of` divides examples into batches that can run together."""

from __future__ import annotations

from collections.abc import Generator, Sequence

from ..inputs.examples import Example

MAX_BATCH = 16


def parts_of(examples: Sequence[Example], most: int) -> Generator[slice]:
    """Yield the examples that run together: at most ``most``, and of one kind."""
    start = 0
    while start < len(examples):
        kinds = [one.kind for one in examples[start : start + most]]
        alike = [kind == kinds[0] for kind in kinds]
        count = len(kinds) if all(alike) else alike.index(False)
        yield slice(start, start + count)
        start += count
