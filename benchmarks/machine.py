"""`describe` records what times depend on: the machine, the versions, the code and the load."""

from __future__ import annotations

import hashlib
import os
import platform
import re
import time
from collections.abc import Iterable, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

import psutil

import graftcam.exporter
import graftcam.runtime

_PACKAGES = (
    "onnxruntime", "torch", "torchvision", "timm", "onnx", "onnxscript", "onnx-ad",
    "grad-cam", "captum", "torchcam", "numpy",
)  # fmt: skip


def describe(threads: int, packages: Sequence[str] = _PACKAGES) -> dict[str, Any]:
    """Return the setting of a run; results of two are not mixed in one table (`Book`).

    Args:
        threads: Of each way of running a model.
        packages: Those whose versions matter; all are installed.
    """
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {package: metadata.version(package) for package in packages},
    }


def code_digest() -> str:
    """Hash of the code whose speed is measured."""
    folders = [Path(package.__path__[0]) for package in (graftcam.exporter, graftcam.runtime)]
    return digest(path for folder in folders for path in sorted(folder.rglob("*.py")))


def digest(paths: Iterable[Path]) -> str:
    """Hash of files."""
    return hashlib.sha256(b"".join(path.read_bytes() for path in paths)).hexdigest()[:16]


def _cpu() -> str:
    try:
        text = Path("/proc/cpuinfo").read_text()
    except OSError:
        text = ""
    named = re.search(r"^model name\s*: (.+)", text, re.MULTILINE)
    return named[1].strip() if named else platform.processor() or "unknown CPU"


class Watch:
    """Measures the share of all cores that other processes used, including the hypervisor.

    The load average does not show it, since it counts the benchmark itself.
    """

    def __init__(self) -> None:
        self._since, self._busy, self._own = time.perf_counter(), _busy(), _own()

    def others(self) -> float:
        """The share since the start."""
        taken = (_busy() - self._busy) - (_own() - self._own)
        cores = (time.perf_counter() - self._since) * (os.cpu_count() or 1)
        return round(max(0.0, taken) / cores, 3)


def _busy() -> float:
    times = psutil.cpu_times()._asdict()
    # Guests' time is part of the user's.
    idle = ("idle", "iowait", "guest", "guest_nice")
    return sum(seconds for name, seconds in times.items() if name not in idle)


def _own() -> float:
    times = psutil.Process().cpu_times()
    return times.user + times.system + times.children_user + times.children_system
