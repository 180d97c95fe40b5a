"""`ending_by_signals` lets a command that is told to end clean up first."""

from __future__ import annotations

import contextlib
import signal
import sys
import threading
from collections.abc import Generator
from types import FrameType

from ..runtime.exit_codes import ExitCode

_NAMES = ("SIGTERM", "SIGHUP")  # Windows lacks the second


class Terminated(BaseException):
    """The process was told to end.

    Like KeyboardInterrupt it passes every ``except Exception``, and what is drafted is deleted.

    Attributes:
        code: The exit code of shells.
    """

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        # As shells name it: 128 and the number.
        self.code = ExitCode(128 + number)


@contextlib.contextmanager
def ending_by_signals() -> Generator[None]:
    """Turn SIGTERM and SIGHUP into `Terminated` and its exit code; a second one kills at once.

    A signal that the caller handles or ignores (``nohup``) stays as it is.
    """
    numbers = [getattr(signal, name) for name in _NAMES if hasattr(signal, name)]
    if threading.current_thread() is not threading.main_thread():  # Python allows no handler there
        numbers = []
    ours = [one for one in numbers if signal.getsignal(one) is signal.SIG_DFL]

    def end(number: int, _frame: FrameType | None) -> None:
        release()
        raise Terminated(number)

    def release() -> None:
        for one in ours:
            signal.signal(one, signal.SIG_DFL)

    for one in ours:
        signal.signal(one, end)
    try:
        yield
    except Terminated as ended:
        sys.exit(ended.code)
    finally:
        release()
