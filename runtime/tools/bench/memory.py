"""`peak_memory` measures the peak memory of running a model, in a new process.

A process that has measured one model cannot measure another: its peak never decreases, and its
allocators do not return memory.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ...errors import SessionError
from ...session.providers import load_onnxruntime
from ...session.session import Model, Tensors
from .timing import calm

_RUNS = 3


def peak_memory(
    path: Path, feeds: Tensors, outputs: Sequence[str], provider: str, threads: int | None
) -> int | None:
    """Return the peak host memory, in bytes, of opening ``path`` and running it.

    The memory of a process that has only imported NumPy and ONNX Runtime is subtracted.

    Args:
        path: Any ONNX file.
        feeds: Its inputs by name.
        outputs: Outputs to fetch.
        provider: Execution provider.
        threads: Threads within one operator; None: ONNX Runtime's choice.

    Returns:
        The bytes; None if the system does not report them.

    Raises:
        SessionError: The process failed, for example for lack of memory.
    """
    if peak_of_process() is None:
        return None
    with tempfile.TemporaryDirectory(prefix="graftcam-") as folder:
        arrays = Path(folder) / "feeds.npz"
        np.savez(arrays, *feeds.values())
        job = {
            "path": str(path), "arrays": str(arrays), "names": list(feeds),
            "outputs": list(outputs), "provider": provider, "threads": threads,
        }  # fmt: skip
        done = subprocess.run(
            [sys.executable, "-m", __name__], input=json.dumps(job),
            capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        lines = done.stderr.strip().splitlines() or [f"exit code {done.returncode}"]
        raise SessionError(f"{path.name}: measuring its memory failed: {lines[-1]}")
    return int(done.stdout)


def peak_of_process() -> int | None:
    """Return the peak resident memory of this process in bytes; None if it is not reported."""
    status = Path("/proc/self/status")
    if status.is_file():
        # Not getrusage: on Linux its peak includes the parent's memory at the time of the fork.
        for line in status.read_text().splitlines():
            if line.startswith("VmHWM:"):
                return 1024 * int(line.split()[1])
    try:
        import resource
    except ImportError:
        return None
    # Bytes on macOS; kilobytes on the BSDs.
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def _work(job: dict[str, Any]) -> int:
    with np.load(job["arrays"]) as arrays:
        feeds = dict(zip(job["names"], arrays.values(), strict=True))
    load_onnxruntime()
    before = peak_of_process() or 0
    model = Model(job["path"], [job["provider"]], job["threads"], calm)
    for _ in range(_RUNS):
        model.run(feeds, job["outputs"])
    return (peak_of_process() or 0) - before


if __name__ == "__main__":
    print(_work(json.load(sys.stdin)))
