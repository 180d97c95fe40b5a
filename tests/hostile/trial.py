"""`trial` gives one mutant to a reader and judges what came of it."""

from __future__ import annotations

import resource
import time
import traceback
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Literal
from unicodedata import category

import click

from graftcam.runtime.errors import GraftcamError
from hostile.mutate import mutant
from hostile.reader import Reader

Outcome = Literal[
    "read", "refused", "caught", "raw exception", "unclear message", "left behind", "too slow",
    "too large", "ended the process",
]  # fmt: skip
# "caught": refused in one line that says no more than that a step failed at it.
RIGHT = ("read", "refused", "caught")

_SECONDS = 10.0  # of processor time; a refusal takes milliseconds
_BYTES = 500 << 20
_LONGEST = 5000  # characters of a message
_CONTROL = {"Cc", "Cs", "Zl", "Zp"}  # categories of Unicode
_TURNING = set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")


@dataclass(frozen=True)
class Found:
    """What a reader did.

    Attributes:
        outcome: Its name.
        detail: The message, or where it was raised.
        seconds: Processor time.
    """

    outcome: Outcome
    detail: str = ""
    seconds: float = 0.0

    @property
    def right(self) -> bool:
        """Whether the reader did what it promises."""
        return self.outcome in RIGHT


def mutant_of(reader: Reader, seed: int) -> bytes:
    """The mutant that a seed stands for."""
    random = Random(f"{reader.name} {seed}")
    files = reader.files()
    return mutant(random.choice(files), reader.form, random, files)


def trial(reader: Reader, data: bytes, folder: Path) -> Found:
    """Write ``data`` into the empty ``folder`` and let the reader read it; empty the folder."""
    path = folder / f"mutant{reader.suffix}"
    path.write_bytes(data)
    memory, since = _peak(), time.process_time()
    outcome: Outcome = "read"
    detail = ""
    try:
        reader.read(path)
    except (GraftcamError, click.ClickException) as error:
        text = error.format_message() if isinstance(error, click.ClickException) else str(error)
        clear = 0 < len(text) < _LONGEST and not _controls(text, error)
        refused: Outcome = "caught" if type(error).__name__ == "MalformedError" else "refused"
        outcome, detail = (refused if clear else "unclear message"), repr(text[:300])
    except (Exception, SystemExit) as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        place = f"{Path(last.filename).name}:{last.name}"
        outcome, detail = "raw exception", f"{type(error).__name__} in {place}: {error}"[:300]
    seconds = time.process_time() - since
    rest = sorted(one.name for one in folder.iterdir() if one != path)
    if outcome in ("refused", "caught") and rest:
        outcome, detail = "left behind", f"{', '.join(rest)} ({detail})"
    if outcome in RIGHT and seconds > _SECONDS:
        outcome = "too slow"
    if outcome in RIGHT and _peak() - memory > _BYTES:
        outcome = "too large"
    _empty(folder)
    return Found(outcome, detail, round(seconds, 3))


def _controls(text: str, error: Exception) -> bool:
    """Whether text would control a terminal, or be more than a line where that is promised."""
    if hasattr(error, "obstacles"):  # an UnsupportedError has a line for each operator
        text = text.replace("\n", " ")
    return any(category(one) in _CONTROL or one in _TURNING for one in text)


def _peak() -> int:
    """The most memory that this process had so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss << 10


def _empty(folder: Path) -> None:
    for one in sorted(folder.rglob("*"), reverse=True):
        if one.is_dir() and not one.is_symlink():
            one.rmdir()
        else:
            one.unlink()
