"""A `Deadline` bounds how long a verification works, so that it ends and reports what is proven."""

from __future__ import annotations

import ctypes
import math
import threading
import time
from collections.abc import Callable
from typing import TypeVar

Result = TypeVar("Result")

_PAUSE = 0.2  # seconds between two requests to stop


class OutOfTime(Exception):  # noqa: N818  (it is no error of the artifact)
    """The time of a verification is used up."""


class Deadline:
    """The time until which a verification works.

    Attributes:
        seconds: How long from the start; infinite for no bound.
    """

    def __init__(self, seconds: float | None = None) -> None:
        self.seconds = math.inf if seconds is None else seconds
        self._end = time.perf_counter() + self.seconds

    @property
    def left(self) -> float:
        """Seconds until the end, 0 after it."""
        return max(self._end - time.perf_counter(), 0.0)

    @property
    def passed(self) -> bool:
        """Whether the time is used up."""
        return self.left <= 0

    def share(self, of: int) -> Deadline:
        """A deadline for one of the ``of`` equal parts that are left to do."""
        return Deadline(None if math.isinf(self.seconds) else self.left / max(of, 1))

    def check(self) -> None:
        """Go on only if there is time.

        Raises:
            OutOfTime: There is none.
        """
        if self.passed:
            raise OutOfTime

    def bounded(self, function: Callable[[], Result]) -> Result:
        """Call a function that may loop in Python for hours, and stop it at the end of the time.

        Raises:
            OutOfTime: It was stopped.
        """
        if math.isinf(self.seconds):
            return function()
        self.check()
        results: list[Result] = []
        errors: list[BaseException] = []

        def work() -> None:
            try:
                results.append(function())
            except BaseException as error:  # it is raised where the caller can catch it
                errors.append(error)

        thread = threading.Thread(target=work, name="graftcam-verify", daemon=True)
        thread.start()
        thread.join(self.left)
        while thread.is_alive():
            # The interpreter raises it in the thread between two steps of a loop.
            number = ctypes.c_ulong(thread.ident or 0)
            ctypes.pythonapi.PyThreadState_SetAsyncExc(number, ctypes.py_object(OutOfTime))
            thread.join(_PAUSE)
        if errors:
            raise errors[0]
        if not results:
            raise OutOfTime
        return results[0]


def over(deadline: Deadline) -> str:
    """The reason when a deadline passed."""
    return f"{deadline.seconds:.0f} s were not enough for all"


NO_DEADLINE = Deadline()
