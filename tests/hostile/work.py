"""Tries mutants in a process of its own, which a mutant may end or stop."""

from __future__ import annotations

import logging
import os
import tempfile
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path

from hostile.reader import Reader
from hostile.trial import Found, mutant_of, trial
from support.child_process import answers

Asked = tuple[str, int]  # a reader's name, and a seed
Answer = tuple[Asked, Found]
_TIMEOUT = 120.0


def readers() -> dict[str, Reader]:
    """All readers by name."""
    from hostile.exporter_readers import READERS as OF_EXPORTER
    from hostile.runtime_readers import READERS as OF_RUNTIME

    return {reader.name: reader for reader in (*OF_RUNTIME, *OF_EXPORTER)}


def _answer() -> Callable[[Asked], Answer]:
    os.environ["OMP_NUM_THREADS"] = "1"
    warnings.simplefilter("ignore")
    logging.disable(logging.CRITICAL)
    known, folder = readers(), Path(tempfile.mkdtemp(prefix="fuzz-input-"))

    def judged(asked: Asked) -> Answer:
        name, seed = asked
        return asked, trial(known[name], mutant_of(known[name], seed), folder)

    return judged


def _ended(asked: Asked, what: str) -> Answer:
    return asked, Found("ended the process", what)


def tried(asked: Iterator[Asked], until: float) -> Iterator[Answer]:
    """What the readers did with mutants.

    Args:
        asked: Names of readers, and seeds.
        until: When to begin no more, in seconds of `time.monotonic`.
    """
    return answers(_answer, asked, until, _TIMEOUT, _ended)
