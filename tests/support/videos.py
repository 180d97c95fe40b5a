"""Small videos for tests, and their faults."""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import cv2
import numpy as np

SIZE = (48, 64)
CODES = {".avi": "MJPG", ".mp4": "mp4v"}
# The start of the matrix in a track's header (ISO/IEC 14496-12), in fixed point.
_UPRIGHT = struct.pack(">5i", 0x10000, 0, 0, 0, 0x10000)
_TURNED = struct.pack(">5i", 0, 0x10000, 0, -0x10000, 0)


def plain_frames(levels: Iterable[Sequence[int]], size: tuple[int, int] = SIZE) -> list[Any]:
    """Frames of one colour each."""
    return [np.full((*size, 3), level, np.uint8) for level in levels]


def reds(count: int) -> list[Any]:
    """Frames that become redder."""
    return plain_frames([(60 + 150 * place // count, 20, 20) for place in range(count)])


def write_video(path: Path, frames: Sequence[Any], fps: float = 10) -> Path:
    """Write RGB frames as a video."""
    height, width = frames[0].shape[:2] if frames else SIZE
    code = cv2.VideoWriter.fourcc(*CODES[path.suffix])
    writer = cv2.VideoWriter(str(path), code, fps, (width, height))
    assert writer.isOpened()
    for frame in frames:
        writer.write(frame[:, :, ::-1])
    writer.release()
    return path


def cut_off(path: Path, share: float) -> Path:
    """Remove the end of a file."""
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])
    return path


def turned(path: Path) -> Path:
    """Let an MP4 say that it is to be shown turned by a quarter."""
    data = path.read_bytes()
    # The last matrix is the track's; the first is that of the whole file.
    at = data.rindex(_UPRIGHT)
    path.write_bytes(data[:at] + _TURNED + data[at + len(_TURNED) :])
    return path


def frames_of(path: Path) -> list[Any]:
    """Read the RGB frames of a video."""
    capture = cv2.VideoCapture(str(path))
    found: list[Any] = []
    while (got := capture.read())[0]:
        found.append(got[1][:, :, ::-1])
    return found


def levels(frames: Iterable[np.ndarray]) -> list[int]:
    """The mean red of each frame."""
    return [int(frame[:, :, 0].mean()) for frame in frames]
