"""`show` displays an image below a notebook's cell, or in the platform's image viewer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from importlib import import_module
from pathlib import Path

from ..errors import RenderError

_SECONDS = 2  # a launcher that finds no viewer ends within this time


def show(png: bytes) -> None:
    """Show a PNG in the notebook that runs this code, else open it in the platform's viewer.

    The viewer reads a file in the system's folder for temporary files, which stays there: a viewer
    may read it at any time.

    Raises:
        RenderError: There is neither a notebook nor a screen, or no viewer opens the file.
    """
    ipython = sys.modules.get("IPython")
    if hasattr(ipython.get_ipython() if ipython else None, "kernel"):
        # A front end that shows images.
        display = import_module("IPython.display")
        display.display(display.Image(data=png))
        return
    try:
        launcher = _launcher()
        path = Path(tempfile.mkdtemp(prefix="graftcam-")) / "explanation.png"
        path.write_bytes(png)
        _open(launcher, path)
    except (OSError, _NoViewerError) as error:
        raise RenderError(
            f'cannot show the explanation: {error}; write a file with explanation.save("out.png"), '
            "or use a notebook"
        ) from error


def open_in_viewer(path: Path) -> None:
    """Open a file or folder in the system's viewer.

    Raises:
        RenderError: There is no screen, or no viewer for it.
    """
    try:
        _open(_launcher(), path)
    except (OSError, _NoViewerError) as error:
        raise RenderError(f"cannot open {path}: {error}; it is written") from error


class _NoViewerError(Exception):
    """There is no screen, or nothing that opens the file."""


def _open(launcher: str | None, path: Path) -> None:
    """Start the viewer."""
    if launcher is None:
        os.startfile(path)  # pyright: ignore[reportAttributeAccessIssue]  # Windows only
        return
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([launcher, str(path)], stdout=quiet, stderr=quiet)
    try:
        failed = process.wait(_SECONDS) != 0
    except subprocess.TimeoutExpired:  # some launchers stay until the viewer is closed
        return
    if failed:
        raise _NoViewerError(f"{launcher} finds no viewer for {path}")


def _launcher() -> str | None:
    """Return the program that opens a file in its viewer; None on Windows, which needs none."""
    if sys.platform == "win32":
        return None
    if sys.platform == "darwin":
        return "open"
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    launcher = shutil.which("xdg-open")
    if not screen or not launcher:
        raise _NoViewerError("xdg-open is not installed" if screen else "there is no screen")
    return launcher
