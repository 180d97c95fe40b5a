"""`spawn` starts a process to measure what a process does only once: start, import, peak memory."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

_ROOT = Path(__file__).resolve().parent.parent


def _environment() -> dict[str, str]:
    """The environment in which Python stores what it compiles, as it does for users."""
    return {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}


def spawn(task: str, **arguments: Any) -> dict[str, float]:
    """Run a function of `benchmarks.child`.

    Returns:
        Its result; where it says when its map is there, ``ms`` is the time from the process's
        start to that.

    Raises:
        RuntimeError: The process failed.
    """
    command = [sys.executable, "-m", "benchmarks.child", task, json.dumps(arguments, default=str)]
    start, reached, last = time.perf_counter(), 0.0, ""
    with tempfile.TemporaryFile("w+") as said:
        with subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=said, text=True, cwd=_ROOT, env=_environment()
        ) as process:
            assert process.stdout is not None
            for line in process.stdout:
                if line == "map\n":
                    reached = 1000 * (time.perf_counter() - start)
                last = line
        if process.returncode:
            said.seek(0)
            raise RuntimeError(f"{task} ended with {process.returncode}: {said.read()[-500:]}")
    found: dict[str, float] = json.loads(last)
    return found | {"ms": reached} if reached else found
