"""A `VideoFile` gives the frames of a video, one after the other, each with its time.

It reads what OpenCV's build reads. Frames are upright, as the file's own rotation says.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self, cast

import cv2

from ..errors import ImageError, system_errors
from ..limits import MAX_PIXELS
from .image_files import Pixels

RATE = 25.0
"""Frames a second of a video that names none, or none that can be."""

_RATES = (1.0, 240.0)  # frames a second that may be
# A playlist is text that names other files, which FFmpeg would open.
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD")
_LOST = 0.95  # share of the frames that a whole file gives: their number may be an estimate


@dataclass(frozen=True, eq=False)
class Frame:
    """One image of a video.

    Attributes:
        image: RGB uint8 [H, W, 3].
        seconds: Its time from the start of the video.
        number: Its number in the video, from 0 on.
    """

    image: Pixels = field(repr=False)
    seconds: float
    number: int


class VideoFile:
    """The frames of a video file; iterate once.

    Attributes:
        name: The file, for messages.
        fps: Frames a second, as the file says.
        total: Number of frames that the iteration will about give; 0: unknown.
        broken: Why the file ended before its end; empty: it did not.
    """

    def __init__(
        self,
        path: str | Path,
        every: int = 1,
        start: float = 0.0,
        end: float | None = None,
        max_pixels: int = MAX_PIXELS,
    ) -> None:
        """Open a file.

        Args:
            path: The file; an address is refused.
            every: Give each frame of this many.
            start: Seconds before the first frame.
            end: Seconds after which none is given; None: all.
            max_pixels: Number of pixels that a frame may have.

        Raises:
            ImageError: There is no such file, it is no video or has no frames, or its frames are
                too large.
        """
        self.name, self.broken = str(path), ""
        self._every, self._start, self._end = every, start, end
        _check_file(Path(path))
        self._capture = cv2.VideoCapture(str(path), cv2.CAP_ANY)
        if not self._capture.isOpened():
            raise ImageError(
                f"{path} is no video that OpenCV can read, or damaged; play it in a player, and "
                "convert it to .mp4 if that works"
            )
        get = self._capture.get
        height, width = int(get(cv2.CAP_PROP_FRAME_HEIGHT)), int(get(cv2.CAP_PROP_FRAME_WIDTH))
        if height * width > max_pixels:
            self.close()
            raise ImageError(
                f"{path} has frames of {width} x {height} pixels, more than {max_pixels}; raise "
                "--max-pixels (max_pixels=) if you trust the file"
            )
        named, count = get(cv2.CAP_PROP_FPS), get(cv2.CAP_PROP_FRAME_COUNT)
        self.fps = possible_rate(named)
        self._count = int(count) if 0 < count < 1e9 else 0
        last = self._count / self.fps if end is None else min(end, self._count / self.fps)
        self.total = max(0, round((last - start) * self.fps / every))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the frames.

        Raises:
            ImageError: There is none.
        """
        given, read, seconds = 0, 0, 0.0
        number = before = self._seek()
        first: int | None = None
        while self._capture.grab():
            seconds = self._seconds(number)
            read += 1
            if self._end is not None and seconds >= self._end:
                break
            # Not every file can be entered in the middle.
            if first is None and seconds >= self._start - 0.5 / self.fps:
                first = number
            if first is not None and (number - first) % self._every == 0:
                done, image = self._capture.retrieve()
                if not done:
                    break
                given += 1
                yield Frame(rgb_of(image), seconds, number)
            number += 1
        else:
            self._note_end(before + read, seconds)
        if not given:
            length = seconds if read else self._count / self.fps
            reason = f"it is {length:.1f} s long" if self._start else "there is none in it"
            raise ImageError(f"{self.name} gives no frame: {reason}")

    def _seek(self) -> int:
        """Go to the first frame; return its number."""
        if self._start:
            self._capture.set(cv2.CAP_PROP_POS_MSEC, self._start * 1000)
        return max(0, round(self._capture.get(cv2.CAP_PROP_POS_FRAMES)))

    def _seconds(self, number: int) -> float:
        """Return the time of the frame that was just read; some files have none."""
        found = self._capture.get(cv2.CAP_PROP_POS_MSEC) / 1000
        return found if number and 0 < found < 1e7 else number / self.fps

    def _note_end(self, read: int, seconds: float) -> None:
        """Note that the file has fewer frames, and a shorter time, than it says."""
        length = self._count / self.fps
        if read < self._count * _LOST - 1 and seconds < length * _LOST - 1 / self.fps:
            self.broken = (
                f"{self.name} is damaged or cut off: it ends at {seconds:.1f} s of {length:.1f} s"
            )


def read_frames(
    path: str | Path, every: int = 1, start: float = 0.0, end: float | None = None
) -> Generator[Pixels]:
    """Yield the frames of a video file, RGB uint8 [H, W, 3], for `Explainer.explain_many`.

    Args:
        path: The file.
        every: Give each frame of this many.
        start: Seconds before the first frame.
        end: Seconds after which none is given; None: all.

    Raises:
        ImageError: There is no such file, or it is no video; or the file is damaged, after the last
            frame that can be read.
    """
    with VideoFile(path, every, start, end) as frames:
        for frame in frames:
            yield frame.image
        if frames.broken:
            raise ImageError(frames.broken)


def possible_rate(named: float) -> float:
    """Return the frames a second that a video or camera names, or `RATE` if that cannot be."""
    return named if _RATES[0] <= named <= _RATES[1] else RATE


def rgb_of(image: Any) -> Pixels:
    """Return OpenCV's frame, BGR, as RGB."""
    return cast("Pixels", cv2.cvtColor(image, cv2.COLOR_BGR2RGB))


def _check_file(path: Path) -> None:
    """Raise ImageError if a path is no file, or text that would make FFmpeg open others."""
    with system_errors(ImageError, f"cannot read {path}"):
        if not path.exists():
            raise ImageError(f"{path}: no such file")
        if not path.is_file():
            raise ImageError(f"{path} is no file")
        with path.open("rb") as file:
            head = file.read(512).lstrip(b"\xef\xbb\xbf \t\r\n")
    if not head:
        raise ImageError(f"{path} is empty")
    if head.startswith(_PLAYLISTS):
        raise ImageError(f"{path} is a list of other files, no video; give one of those")
