"""A `Reader` is one way by which a file of somebody else gets into the project."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from hostile.mutate import Form


@dataclass(frozen=True)
class Reader:
    """What reads a file, and files that it reads.

    Attributes:
        name: Its name in records.
        form: The format in whose terms mutants are made.
        suffix: The ending of a mutant's name.
        seeds: Makes files that it reads; called once.
        read: Reads the file at a path.
        share: Its share of the mutants, about in percent.
    """

    name: str
    form: Form
    suffix: str
    seeds: Callable[[], list[bytes]]
    read: Callable[[Path], object]
    share: int

    def files(self) -> list[bytes]:
        """The seeds' files, which are made once a process."""
        return _made(self.seeds)


@functools.cache
def _made(seeds: Callable[[], list[bytes]]) -> list[bytes]:
    return seeds()
