"""`describe` records what times depend on: the machine, the versions, the code and the load."""

from __future__ import annotations

import hashlib
import os
import platform
import time
from importlib import metadata
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

import graftcam.exporter
import graftcam.runtime

_PACKAGES = (
    "onnxruntime", "torch", "torchvision", "onnx", "onnxscript", "onnx-ad", "grad-cam", "captum",
    "torchcam", "numpy",
)  # fmt: skip


def describe(threads: int) -> dict[str, Any]:
    """Return the setting of a run; results of two settings are never mixed in one table."""
    return {
        "cpu": _cpu(),
        "cores": os.cpu_count(),
        "threads": threads,
        "system": f"{platform.system()} {platform.machine()}, Python {platform.python_version()}",
        "versions": {package: metadata.version(package) for package in _PACKAGES},
    }


def code_digest() -> str:
    """Hash of the code whose speed is measured."""
    digest = hashlib.sha256()
    for package in (graftcam.exporter, graftcam.runtime):
        for path in sorted(Path(str(package.__file__)).parent.rglob("*.py")):
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


def _cpu() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown CPU"
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor()


class Watch:
    """Measures the share of all cores that other processes used, including the hypervisor.

    The load average does not show it, since it counts the benchmark itself.
    """

    def __enter__(self) -> Watch:
        self.others = 0.0
        self._since, self._busy, self._own = time.perf_counter(), _busy(), _own()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        spent = time.perf_counter() - self._since
        taken = (_busy() - self._busy) - (_own() - self._own)
        self.others = round(max(0.0, taken) / spent / (os.cpu_count() or 1), 3)


def _busy() -> float:
    times = psutil.cpu_times()._asdict()
    # Guests' time is part of the user's.
    idle = ("idle", "iowait", "guest", "guest_nice")
    return sum(seconds for name, seconds in times.items() if name not in idle)


def _own() -> float:
    times = psutil.Process().cpu_times()
    return times.user + times.system + times.children_user + times.children_system
