"""A screen for a test, which nobody sees."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
from collections.abc import Generator

SCREENS = shutil.which("Xvfb") is not None
"""Whether this machine has the program that makes one."""


@contextlib.contextmanager
def screen() -> Generator[dict[str, str]]:
    """Yield the environment of programs that show something on a new screen of 800 x 600."""
    reading, writing = os.pipe()
    words = ["Xvfb", "-displayfd", str(writing), "-screen", "0", "800x600x24", "-nolisten", "tcp"]
    server = subprocess.Popen(words, pass_fds=[writing], stderr=subprocess.DEVNULL)
    os.close(writing)
    try:
        with os.fdopen(reading) as said:
            display = said.readline().strip()
        yield {**os.environ, "DISPLAY": f":{display}", "WAYLAND_DISPLAY": ""}
    finally:
        server.terminate()
        server.wait()
