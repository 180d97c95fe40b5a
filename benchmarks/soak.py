"""This script computes ten thousand explanations in one process and watches its memory.

    python -m benchmarks.soak [--count 10000] [--model digits.onnx]

The bundled model (or another artifact) explains images of many sizes with
``Explainer.explain_many``, with overlays, and some broken files; resident memory is read every
hundred explanations. It passes if the median of the last tenth is at most 2 % or 8 MB above that of
the second tenth (caches and arenas fill in the first). It writes ``docs/soak.json``; the exit code
is 1 if memory grew.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import psutil

from graftcam.runtime import Explainer, Failure

from .script import DOCS, options, say, write_json

_EVERY = 100
_SHARE, _SLACK = 0.02, 8.0  # of growth that is none, and megabytes
_KINDS = 40


def main() -> int:
    """Run, print and keep the result."""
    asked = options(
        __doc__,
        count=(10_000, "explanations"),
        model=("", "an artifact; the bundled model by default"),
        docs=(DOCS / "soak.json", "where the result goes"),
    )
    if asked.count < 10 * _EVERY:
        say(f"--count {asked.count} is too few to tell; give {10 * _EVERY} or more")
        return 2
    with tempfile.TemporaryDirectory(prefix="graftcam-") as folder:
        model = asked.model or _digits(Path(folder))
        found = soak(Path(model), Path(folder), asked.count)
    write_json(asked.docs, found)
    print(
        f"{found['explained']} explanations, {found['failed']} failures in {found['seconds']} s: "
        f"{found['early_mb']} MB early, {found['late_mb']} MB late, peak {found['peak_mb']} MB: "
        + ("flat" if found["flat"] else "memory grew")
    )
    return 0 if found["flat"] else 1


def soak(model: Path, folder: Path, count: int) -> dict[str, Any]:
    """Explain ``count`` images and read the memory on the way."""
    explainer, process = Explainer(model, "cpu"), psutil.Process()
    files = _images(folder)
    samples: list[float] = []
    failed, start = 0, time.perf_counter()
    endless = islice(cycle(files), count)
    for number, one in enumerate(explainer.explain_many(endless, top=2), 1):
        if isinstance(one, Failure):
            failed += 1
        else:
            one.save(folder / "overlay.png", which=0)
        if number % _EVERY == 0:
            samples.append(round(process.memory_info().rss / 1e6, 1))
    seconds = time.perf_counter() - start
    tenth = max(1, len(samples) // 10)
    early, late = (statistics.median(part) for part in (samples[tenth:][:tenth], samples[-tenth:]))
    return {
        "explained": count - failed,
        "failed": failed,
        "seconds": round(seconds, 1),
        "early_mb": early,
        "late_mb": late,
        "peak_mb": max(samples),
        "flat": late <= max(early * (1 + _SHARE), early + _SLACK),
        "every": _EVERY,
        "rss_mb": samples,
    }


def _digits(folder: Path) -> Path:
    """Export the bundled model, in another process: PyTorch's memory would drown what is sought."""
    path = folder / "digits.onnx"
    code = "import pathlib, sys, graftcam.demo.run as d; d.export_digits(pathlib.Path(sys.argv[1]))"
    subprocess.run([sys.executable, "-c", code, path], check=True)
    return path


def _images(folder: Path) -> list[Path]:
    """Noise of many sizes as JPEG and PNG files, and a file that is no image."""
    random = np.random.default_rng(0)
    files: list[Path] = []
    for number in range(_KINDS):
        size = random.integers(60, 600, 2)
        image = random.integers(0, 256, (*size, 3), np.uint8)
        files.append(folder / f"{number}.{'jpg' if number % 2 else 'png'}")
        cv2.imwrite(str(files[-1]), image)
    broken = folder / "broken.jpg"
    broken.write_bytes(b"no image")
    return [*files, broken]


if __name__ == "__main__":
    sys.exit(main())
