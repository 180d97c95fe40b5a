"""A camera gives its newest frames, until it is gone or the time is over."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from graftcam.runtime.errors import ImageError
from graftcam.runtime.inputs import camera as source
from graftcam.runtime.inputs.camera import Camera
from graftcam.runtime.inputs.video import RATE


class FakeCamera:
    """What OpenCV gives for a camera: frames until there are none."""

    opened, frames, waited = True, 5, 0.0

    def __init__(self, number: int) -> None:
        self.number, self.given, self.released = number, 0, False

    def isOpened(self) -> bool:  # noqa: N802 - OpenCV's
        return self.opened

    def get(self, _what: int) -> float:
        return 0.0

    def set(self, *_: object) -> None: ...

    def read(self) -> tuple[bool, Any]:
        if self.given >= self.frames:
            return False, None
        time.sleep(0.005)
        self.given += 1
        return True, np.full((4, 6, 3), (0, 0, self.given), np.uint8)

    def release(self) -> None:
        self.released = True


@pytest.fixture
def camera(monkeypatch: pytest.MonkeyPatch) -> type[FakeCamera]:
    class Own(FakeCamera): ...

    monkeypatch.setattr(cv2, "VideoCapture", Own)
    monkeypatch.setattr(source, "_MISSED", 3)
    return Own


def test_a_camera_gives_its_newest_frames_until_it_is_gone(camera: type[FakeCamera]) -> None:
    camera.frames = 30
    with Camera(0) as frames:
        found = []
        for frame in frames:
            found.append((frame.number, int(frame.image[0, 0, 0])))
            time.sleep(0.02)  # slower than the camera
    assert frames.fps == RATE  # it names none
    assert 3 < len(found) < 25
    assert found == sorted(found)
    assert all(level == number + 1 for number, level in found)
    assert frames.broken == "camera 0 gives no more images"


def test_a_camera_ends_after_a_time(camera: type[FakeCamera]) -> None:
    camera.frames = 10**6
    with Camera(3, every=2, end=0.1) as frames:
        found = [frame.number for frame in frames]
    assert frames.broken == ""
    assert min(np.diff(found)) >= 2


def test_a_camera_that_gives_nothing_or_cannot_be_opened(
    camera: type[FakeCamera], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    camera.frames = 0
    with pytest.raises(ImageError, match="camera 1 is open but gives no images; close other"):
        Camera(1)
    camera.opened = False
    monkeypatch.setattr(source.sys, "platform", "darwin")
    with pytest.raises(ImageError, match="camera 1 cannot be opened: there is none, it is in use"):
        Camera(1)
    monkeypatch.setattr(source.sys, "platform", "linux")
    monkeypatch.setattr(source, "_DEVICES", tmp_path)
    with pytest.raises(ImageError, match="there is no camera 1; no camera is connected"):
        Camera(1)
    (tmp_path / "video0").touch()
    with pytest.raises(ImageError, match="there is no camera 1; there is 0"):
        Camera(1)
    with pytest.raises(ImageError, match="camera 0 cannot be opened: close the program that uses"):
        Camera(0)
    monkeypatch.setattr(source.os, "access", lambda *_: False)
    with pytest.raises(ImageError, match="camera 0 may not be read: add your user to the group"):
        Camera(0)


def test_a_camera_is_closed_after_an_error(camera: type[FakeCamera]) -> None:
    with pytest.raises(ValueError, match="x"), Camera(0) as frames:
        raise ValueError("x")
    assert frames._capture.released  # pyright: ignore[reportPrivateUsage,reportAttributeAccessIssue]
