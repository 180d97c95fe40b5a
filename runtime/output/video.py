"""`video_file` writes a video, whole or not at all; `ConstantRate` gives its frames their times."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Callable, Generator, Sequence
from pathlib import Path

import cv2
import numpy as np

from ..errors import RenderError
from ..inputs.image_files import Pixels
from ..writing import guard, staged

# By suffix the codes of encoders, best first: H.264, which few builds of OpenCV have, plays
# everywhere; MPEG-4 in every player, but in no browser; VP8 in players and browsers.
_CODES = {
    ".mp4": ("avc1", "mp4v"),
    ".m4v": ("avc1", "mp4v"),
    ".mov": ("avc1", "mp4v"),
    ".mkv": ("H264", "mp4v"),
    ".webm": ("VP80",),
    ".avi": ("MJPG",),
}
_OF_BROWSERS = {".mp4": ("avc1", "vp09", "mp4v")}  # VP9 plays in browsers, but is slow to encode
SUFFIXES = tuple(_CODES)
"""Endings of the names of videos that can be written."""

_LONGEST = 10.0  # seconds that one frame stays: a file may name any time


@contextlib.contextmanager
def video_file(
    path: str | Path, fps: float, *, browsers: bool = False
) -> Generator[Callable[[Pixels], None]]:
    """Yield a function that adds a frame, RGB uint8 [H, W, 3], to a video.

    The first frame fixes the size, made even; later ones of another size get black borders. The
    file appears at the end; after an error there is none. Without a frame there is none either.

    Args:
        path: The file, of `SUFFIXES`.
        fps: Frames a second.
        browsers: Prefer an encoder whose files play in browsers, though it takes longer.

    Raises:
        RenderError: The suffix is unknown, OpenCV has no encoder for it, or the file cannot be
            written.
    """
    path = Path(path)
    check_video_path(path)
    with staged(path.parent, RenderError, path) as folder:
        suffix = path.suffix.lower()
        codes = _OF_BROWSERS.get(suffix, _CODES[suffix]) if browsers else _CODES[suffix]
        draft = _Draft(folder / path.name, path, fps, codes)
        try:
            yield draft.add
        finally:
            draft.close()


def check_video_path(path: Path) -> None:
    """Refuse a place that `video_file` would refuse, before any work.

    Raises:
        RenderError: As `video_file`.
    """
    if path.suffix.lower() not in _CODES:
        raise RenderError(f"{path}: no video is written as that; use {', '.join(_CODES)}")
    guard(path, (), RenderError)


class ConstantRate:
    """Writes frames with their times to a video of a constant rate.

    A frame is repeated until the next one's time, and one that has no time of its own is left out:
    so a camera's video, and one of a variable rate, last as long as they did.

    Attributes:
        count: Number of frames that were written.
    """

    def __init__(self, write: Callable[[Pixels], None], fps: float) -> None:
        self._write, self._fps = write, fps
        self._last: Pixels | None = None
        self._begun = self._before = 0.0
        self.count = 0

    def add(self, image: Pixels, seconds: float) -> None:
        """Add a frame that is shown from a time on."""
        if self._last is None:
            self._begun = seconds
        elif not 0 <= seconds - self._before <= _LONGEST:
            self._begun += seconds - self._before - 1 / self._fps
        self._before = seconds
        due = round((seconds - self._begun) * self._fps)
        while self._last is not None and self.count < due:
            self._write(self._last)
            self.count += 1
        self._last = image

    def close(self) -> None:
        """Write the last frame."""
        if self._last is not None:
            self._write(self._last)
            self.count += 1
            self._last = None


def same_size(image: Pixels, height: int, width: int) -> Pixels:
    """Return an image at another size, with black borders where its shape differs."""
    if image.shape[:2] == (height, width):
        return image
    scale = min(height / image.shape[0], width / image.shape[1])
    rows, columns = (max(1, round(extent * scale)) for extent in image.shape[:2])
    small = cv2.resize(image, (columns, rows), interpolation=cv2.INTER_AREA)
    canvas = np.zeros((height, width, 3), np.uint8)
    top, left = (height - rows) // 2, (width - columns) // 2
    canvas[top : top + rows, left : left + columns] = small
    return canvas


class _Draft:
    """A video that is being written."""

    def __init__(self, draft: Path, path: Path, fps: float, codes: Sequence[str]) -> None:
        self._draft, self._path, self._fps, self._codes = draft, path, fps, codes
        self._writer: cv2.VideoWriter | None = None
        self._size = (0, 0)

    def add(self, image: Pixels) -> None:
        if self._writer is None:
            # Encoders of two colours to four pixels take even sizes only.
            self._size = image.shape[0] // 2 * 2 or 2, image.shape[1] // 2 * 2 or 2
            self._writer = self._opened()
        height, width = self._size
        even = image[:height, :width] if _nearly(image, self._size) else image
        framed = same_size(even, height, width)
        self._writer.write(cv2.cvtColor(np.ascontiguousarray(framed), cv2.COLOR_RGB2BGR))

    def close(self) -> None:
        if self._writer is not None:
            self._writer.release()

    def _opened(self) -> cv2.VideoWriter:
        for code in self._codes:
            with _silent_errors():
                writer = cv2.VideoWriter(
                    str(self._draft), cv2.VideoWriter.fourcc(*code), self._fps, self._size[::-1]
                )
            if writer.isOpened():
                return writer
        raise RenderError(
            f"cannot write {self._path}: this OpenCV has no encoder for it; try .avi, or frames: "
            "--format png"
        )


def _nearly(image: Pixels, size: tuple[int, int]) -> bool:
    """Whether an image has the size but for an odd row or column."""
    return all(0 <= given - wanted <= 1 for given, wanted in zip(image.shape, size, strict=False))


@contextlib.contextmanager
def _silent_errors() -> Generator[None]:
    """Keep off the terminal what OpenCV's encoders print past every level of its log."""
    try:
        number = sys.stderr.fileno()
    except (OSError, ValueError):  # no file, as in a notebook
        yield
        return
    sys.stderr.flush()
    before, nowhere = os.dup(number), os.open(os.devnull, os.O_WRONLY)
    try:
        os.dup2(nowhere, number)
        yield
    finally:
        os.dup2(before, number)
        os.close(before)
        os.close(nowhere)
