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
    launcher = _launcher()
    try:
        path = Path(tempfile.mkdtemp(prefix="graftcam-")) / "explanation.png"
        path.write_bytes(png)
        opened = _open(launcher, path)
    except OSError as error:
        raise _cannot(str(error)) from error
    if not opened:
        raise _cannot(f"{launcher} finds no viewer for {path}")


def _open(launcher: str | None, path: Path) -> bool:
    """Start the viewer; return False if the launcher reports a failure."""
    if launcher is None:
        os.startfile(path)  # pyright: ignore[reportAttributeAccessIssue]  # Windows only
        return True
    quiet = subprocess.DEVNULL
    process = subprocess.Popen([launcher, str(path)], stdout=quiet, stderr=quiet)
    try:
        return process.wait(_SECONDS) == 0
    except subprocess.TimeoutExpired:  # some launchers stay until the viewer is closed
        return True


def _launcher() -> str | None:
    """Return the program that opens a file in its viewer; None on Windows, which needs none."""
    if sys.platform == "win32":
        return None
    if sys.platform == "darwin":
        return "open"
    screen = os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")
    launcher = shutil.which("xdg-open")
    if not screen or not launcher:
        raise _cannot("xdg-open is not installed" if screen else "there is no screen")
    return launcher


def _cannot(reason: str) -> RenderError:
    return RenderError(
        f'cannot show the explanation: {reason}; write a file with explanation.save("out.png"), '
        "or use a notebook"
    )
