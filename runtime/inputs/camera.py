"""A `Camera` gives its newest frame, and drops those that came while the caller was busy."""

from __future__ import annotations

import os
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Self

import cv2

from ..errors import ImageError
from .video import Frame, possible_rate, rgb_of

_SECONDS = 5.0  # that a camera has for a frame
_MISSED = 50  # reads without a frame after which it has gone
_DEVICES = Path("/dev")  # of Linux


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
        self.fps = possible_rate(self._capture.get(cv2.CAP_PROP_FPS))
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

    def __exit__(self, *_: object) -> None:
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
            yield Frame(rgb_of(image), taken - begun, before)

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
