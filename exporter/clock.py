"""`Clock` measures the steps of an export."""

from __future__ import annotations

import time
from collections.abc import Callable

from .memory import give_back

Progress = Callable[[str], None]


class Clock:
    """Measures the time of each step, and calls ``progress`` with its name as it begins.

    Attributes:
        seconds: Time by step.
    """

    def __init__(self, progress: Progress | None) -> None:
        self.seconds: dict[str, float] = {}
        self._progress = progress
        self._step, self._since = "", time.perf_counter()

    def __call__(self, step: str) -> None:
        """Begin ``step``, without the memory that the last one has freed."""
        give_back()
        self.stop()
        if self._progress is not None:
            self._progress(step)
        self._step = step

    @property
    def step(self) -> str:
        """The step that is running; empty between steps."""
        return self._step

    def stop(self) -> None:
        """End the step that is running."""
        now = time.perf_counter()
        if self._step:
            self.seconds[self._step] = self.seconds.get(self._step, 0.0) + now - self._since
        self._step, self._since = "", now
