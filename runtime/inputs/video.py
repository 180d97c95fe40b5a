"""`VideoFile` and `Camera` give frames, one after the other, each with its time.

A `VideoFile` reads what OpenCV's build reads; frames are upright, as the file's own rotation says.
A `Camera` gives the newest frame and drops those that came while the caller was busy.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self, cast

import cv2

from ..errors import ImageError, system_errors
from ..limits import MAX_PIXELS
from .image_files import Pixels

RATE = 25.0
"""Frames a second of a video that names none, or none that can be."""

_RATES = (1.0, 240.0)  # frames a second that a file may name
# A playlist is text that names other files, which FFmpeg would open.
_PLAYLISTS = (b"#EXTM3U", b"ffconcat", b"<?xml", b"<MPD")
_LOST = 0.95  # share of the frames that a whole file gives: their number may be an estimate
_SECONDS = 5.0  # that a camera has for its first frame
_DEVICES = Path("/dev")  # of Linux
_MISSED = 50  # reads without a frame after which a camera has gone


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
        self.fps = named if _RATES[0] <= named <= _RATES[1] else RATE
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
        number = self._seek()
        first = number
        while self._capture.grab():
            seconds = self._seconds(number)
            read += 1
            if self._end is not None and seconds >= self._end:
                break
            if seconds >= self._start - 0.5 / self.fps and (number - first) % self._every == 0:
                done, image = self._capture.retrieve()
                if not done:
                    break
                given += 1
                yield Frame(_rgb(image), seconds, number)
            number += 1
        else:
            self._note_end(first + read, seconds)
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


class Camera:
    """The newest frames of a camera; iterate once, it ends when the camera gives no more.

    Attributes:
        name: The camera, for messages.
        fps: Frames a second, as the camera says.
        total: 0, since nobody knows.
        broken: Why it ended; empty: the caller ended it.
    """

    total = 0

    def __init__(self, number: int, every: int = 1, end: float | None = None) -> None:
        """Open a camera, and wait for its first frame.

        Args:
            number: 0 is the system's first.
            every: Give each frame of this many.
            end: Seconds after which none is given; None: until the caller stops.

        Raises:
            ImageError: There is no such camera, it is in use, or gives no images.
        """
        self.name, self.broken = f"camera {number}", ""
        self._every, self._end = every, end
        self._capture = cv2.VideoCapture(number)
        if not self._capture.isOpened():
            raise ImageError(_why_not(number))
        self._capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)
        named = self._capture.get(cv2.CAP_PROP_FPS)
        self.fps = named if _RATES[0] <= named <= _RATES[1] else RATE
        self._newest: tuple[int, float, Any] | None = None
        self._changed = threading.Condition()
        self._ended = False
        self._thread = threading.Thread(target=self._read, name="graftcam-camera", daemon=True)
        self._thread.start()
        with self._changed:
            self._changed.wait_for(lambda: self._newest is not None or self._ended, _SECONDS)
        if self._newest is None:
            self.close()
            raise ImageError(
                f"camera {number} is open but gives no images; close other programs that use it, "
                "or plug it in again"
            )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, _: BaseException | None, __: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Give the camera back."""
        self._ended = True
        self._thread.join(_SECONDS)
        self._capture.release()

    def __iter__(self) -> Iterator[Frame]:
        """Yield the newest frame each time that the caller is ready for one."""
        before, begun = -1, None
        while True:
            found = self._wait(before)
            if found is None:
                self.broken = f"{self.name} gives no more images"
                return
            before, taken, image = found
            begun = taken if begun is None else begun
            if self._end is not None and taken - begun >= self._end:
                return
            yield Frame(_rgb(image), taken - begun, before)

    def _wait(self, before: int) -> tuple[int, float, Any] | None:
        """Return the newest frame, once there is one after those to leave out; None at the end."""
        least = before + (1 if before < 0 else self._every)

        def newer() -> bool:
            return self._newest is not None and self._newest[0] >= least

        with self._changed:
            self._changed.wait_for(lambda: newer() or self._ended, _SECONDS)
            return self._newest if newer() else None

    def _read(self) -> None:
        """Read frames until the end, and keep the newest."""
        number = missed = 0
        while not self._ended and missed < _MISSED:
            done, image = self._capture.read()
            if not done:
                missed += 1
                time.sleep(0.01)
                continue
            missed = 0
            with self._changed:
                self._newest = number, time.monotonic(), image
                self._changed.notify_all()
            number += 1
        with self._changed:
            self._ended = True
            self._changed.notify_all()


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


def _rgb(image: Any) -> Pixels:
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


def _why_not(number: int) -> str:
    """Say why a camera cannot be opened, as far as the system tells."""
    if not sys.platform.startswith("linux"):
        return (
            f"camera {number} cannot be opened: there is none, it is in use, or access is not "
            "allowed"
        )
    place = _DEVICES / f"video{number}"
    if not place.exists():
        others = sorted(one.name.removeprefix("video") for one in _DEVICES.glob("video[0-9]*"))
        there = f"there is {', '.join(others)}" if others else "no camera is connected"
        return f"there is no camera {number}; {there}"
    if not os.access(place, os.R_OK | os.W_OK):
        return f"camera {number} may not be read: add your user to the group of {place} (video)"
    return (
        f"camera {number} cannot be opened: close the program that uses it, or give another number"
    )
