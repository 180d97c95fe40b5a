"""Long work says on stderr how far it is and how long it will take.

On a terminal one line is drawn again and again. Elsewhere, as in a log, a line comes now and then.
With ``--quiet`` there is none.
"""

from __future__ import annotations

import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Generator

import click

from ..runtime.plain_text import clip, plain
from .terminal import is_quiet, say

Show = Callable[[int, int], None]

_REDRAWN = 0.1  # seconds from one drawing to the next
_HIDDEN = 0.4  # seconds in which work may end without a line
_LOGGED = 30.0  # seconds from one line of a log to the next
_BAR = 20  # characters
_SHORTEST = 8  # characters of a label that are always there
_ERASE = "\r\x1b[K"


class Counter:
    """Shows items done, of all, and the time left; it is called with both numbers.

    Args:
        label: What is done.
        stays: Whether the last line stays on the terminal.
        clock: Seconds; tests have their own.
    """

    def __init__(
        self, label: str, *, stays: bool, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._label, self._stays, self._clock = plain(label), stays, clock
        self._begun = self._shown = clock()
        self._first: tuple[int, float] | None = None
        self._drawn = False
        self._last = (0, 0)

    def __call__(self, done: int, total: int) -> None:
        """Show that ``done`` of ``total`` items are done; ``total`` is 0 where none is known."""
        now = self._clock()
        self._last = (done, total)
        if self._first is None:  # items that an earlier run did say nothing of the time
            self._first = (done, now)
        if sys.stderr.isatty():
            if now - self._begun >= _HIDDEN and now - self._shown >= _REDRAWN:
                self._shown, self._drawn = now, True
                _draw(self.text(done, total, now))
        elif now - self._shown >= _LOGGED:
            self._shown = now
            say(self.text(done, total, now, bar=False), err=True)

    def text(self, done: int, total: int, now: float, *, bar: bool = True) -> str:
        """Return the line for a state."""
        left = self._left(done, total, now)
        count = f"{done}/{total}" if total else f"{done}"
        timed = duration(now - self._begun) if left is None else f"{duration(left)} left"
        # The numbers are never cut: first the bar goes, then the end of the label.
        room = _columns() - 1 - len(f"  {count}  {timed}") if bar else len(self._label)
        parts = [clip(self._label, max(room, _SHORTEST)), count, timed]
        if total and room - len(self._label) >= _BAR + 4:
            full = min(_BAR, _BAR * done // total)
            parts.insert(1, f"[{'#' * full}{'.' * (_BAR - full)}]")
        return "  ".join(parts)

    def _left(self, done: int, total: int, now: float) -> float | None:
        """Return the seconds left; None at the end, or where nothing says how many."""
        first, since = self._first or (0, now)
        if not first < done < total:
            return None
        return (now - since) / (done - first) * (total - done)

    def close(self) -> None:
        """Leave the last state on the terminal, or nothing."""
        if not self._drawn:
            return
        _draw(self.text(*self._last, self._clock()) if self._stays else "")
        if self._stays:
            say("", err=True)


def meter(label: str) -> Show | None:
    """Return a function that shows the runs of one image; None if nobody wants to see it."""
    if is_quiet():
        return None
    counter = Counter(label, stays=False)

    def show(done: int, total: int) -> None:
        counter(done, total)
        if done >= total:
            counter.close()

    return show


@contextlib.contextmanager
def progress_bar(label: str, *, hidden: bool = False) -> Generator[Show]:
    """Yield a function of the items done and all, which shows how far the work is."""
    if hidden or is_quiet():
        yield lambda done, total: None
        return
    counter = Counter(label, stays=True)
    try:
        yield counter
    finally:
        counter.close()


class Steps:
    """Prints each step to stderr when it begins, and its duration when it ends.

    On a terminal the seconds are counted meanwhile.

    Args:
        most: Seconds that the steps take at most, from the first on whose name begins with
            ``counted``; None: nothing bounds them.
        counted: See there.
    """

    def __init__(self, most: float | None = None, counted: str = "") -> None:
        bounded = most is not None and math.isfinite(most)
        self._most, self._counted = most if bounded else None, counted
        self._end: float | None = None
        self._since: float | None = None
        self._step = ""
        self._stop = threading.Event()
        self._thread: threading.Thread | None = None

    def __enter__(self) -> Steps:
        return self

    def __call__(self, step: str) -> None:
        """Begin ``step``."""
        self._finish()
        if is_quiet():
            return
        self._step, self._since = plain(step), time.perf_counter()
        if self._end is None and self._most is not None and step.startswith(self._counted):
            self._end = self._since + self._most
        if not sys.stderr.isatty():
            say(f"{self._step} ... ", err=True, nl=False)
            return
        _draw(f"{self._step} ...")
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._count, args=(self._stop,), daemon=True)
        self._thread.start()

    def _count(self, stop: threading.Event) -> None:
        """Draw the seconds of a step until it ends."""
        while not stop.wait(1):
            now = time.perf_counter()
            since = now if self._since is None else self._since
            text = f"{self._step} ... {duration(now - since)}"
            if self._end is not None:
                text += f", at most {duration(max(self._end - now, 0))} left"
            _draw(text)

    def _finish(self, word: str | None = None) -> None:
        """End the step with its duration, or with a word."""
        if self._since is None:
            return
        text = word or f"{time.perf_counter() - self._since:.1f} s"
        self._since = None
        if self._thread is None:
            say(text, err=True)
            return
        self._stop.set()
        self._thread.join()
        self._thread = None
        _draw(f"{self._step} ... {text}")
        say("", err=True)

    def __exit__(self, kind: object, *_: object) -> None:
        self._finish(None if kind is None else "failed")


def duration(seconds: float) -> str:
    """Return a time as people write it: ``0:07``, ``12:30`` or ``1:02:03``."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def _draw(text: str) -> None:
    """Draw one line in place of the last one, cut to the terminal's width."""
    cut = text[: max(_columns() - 1, 1)]
    # The label is plain; the sequence, which erases the line, is ours.
    click.echo(f"{_ERASE}{cut}", err=True, nl=False, color=True)


def _columns() -> int:
    try:
        return os.get_terminal_size(sys.stderr.fileno()).columns or 80
    except (OSError, ValueError):
        return 80
