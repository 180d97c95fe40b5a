"""`clipboard` gives the image that was copied: `graftcam explain model.onnx clipboard -o out`."""

from __future__ import annotations

import base64
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from urllib.parse import unquote, urlsplit

import click

from ..runtime.errors import ImageError

WORD = Path("clipboard")
"""The argument that stands for the copied image, where no file has this name."""

_SECONDS = 10  # that a tool has: the program that copied must answer
_TYPES = ("image/png", "image/jpeg", "image/webp", "image/bmp", "image/tiff")
_FILES = "text/uri-list"
_MAC = "the clipboard as «class PNGf»"
_WINDOWS = """
Add-Type -AssemblyName System.Windows.Forms, System.Drawing
$image = [System.Windows.Forms.Clipboard]::GetImage()
if ($image) {
  $memory = New-Object System.IO.MemoryStream
  $image.Save($memory, [System.Drawing.Imaging.ImageFormat]::Png)
  [Convert]::ToBase64String($memory.ToArray())
}
"""


def pasted(images: Sequence[Path]) -> list[tuple[Path, Path]]:
    """Return the files to read, and how each is called; the copied image is one for a while.

    The file is deleted with the command's context.

    Raises:
        ImageError: There is no image to paste, or no tool for it.
    """
    return [(_paste() if path == WORD and not path.exists() else path, path) for path in images]


def _paste() -> Path:
    found = _linux() if sys.platform.startswith("linux") else _elsewhere()
    if isinstance(found, Path):
        return found
    if not found:
        raise ImageError("there is no image in the clipboard; copy one, or give a file")
    context = click.get_current_context()
    folder = context.with_resource(TemporaryDirectory(prefix="graftcam-"))
    file = Path(folder, f"{WORD}.png")  # the bytes say the format
    file.write_bytes(found)
    return file


def _linux() -> bytes | Path:
    """Return the copied image, or the image file that was copied in a file manager."""
    if os.environ.get("WAYLAND_DISPLAY"):
        tool = _tool("wl-paste", "wl-clipboard")
        types, paste = [tool, "--list-types"], [tool, "--no-newline", "--type"]
    elif os.environ.get("DISPLAY"):
        whole = [_tool("xclip", "xclip"), "-selection", "clipboard", "-out", "-target"]
        types, paste = [*whole, "TARGETS"], whole
    else:
        raise ImageError("there is no clipboard without a screen; give a file")
    offered = _output(types).decode(errors="replace").split()
    for kind in _TYPES:
        if kind in offered:
            return _output([*paste, kind])
    if _FILES in offered:
        listed = _output([*paste, _FILES]).decode(errors="replace").split()
        paths = [Path(unquote(urlsplit(one).path)) for one in listed if one.startswith("file://")]
        return next((path for path in paths if path.is_file()), b"")
    return b""


def _elsewhere() -> bytes:
    """Return the copied image as PNG, by what macOS and Windows have."""
    if sys.platform == "darwin":
        text = _output([_tool("osascript", "macOS"), "-e", _MAC]).decode(errors="replace")
        data = re.search(r"PNGf([0-9A-F]+)", text)
        return bytes.fromhex(data[1]) if data else b""
    shell = _tool("powershell", "Windows PowerShell")
    return base64.b64decode(_output([shell, "-NoProfile", "-STA", "-Command", _WINDOWS]))


def _tool(name: str, package: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ImageError(f"{name} is missing, which reads the clipboard; install {package}")
    return found


def _output(arguments: Sequence[str]) -> bytes:
    """Return what a tool prints; nothing if it fails, as where the clipboard is empty."""
    try:
        done = subprocess.run(arguments, capture_output=True, timeout=_SECONDS, check=False)
    except subprocess.TimeoutExpired:
        raise ImageError(
            f"{Path(arguments[0]).name} got no answer from the clipboard; copy the image again"
        ) from None
    return done.stdout if done.returncode == 0 else b""
