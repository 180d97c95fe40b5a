"""Frames become a video: whole or not at all, and each shown at its time."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from graftcam.runtime import video_file
from graftcam.runtime.errors import RenderError
from graftcam.runtime.output.video import ConstantRate
from support.videos import frames_of, levels, reds


def test_a_written_video_has_the_frames(tmp_path: Path) -> None:
    for suffix in (".mp4", ".avi", ".mkv", ".webm"):
        path = tmp_path / "new" / f"clip{suffix}"
        with video_file(path, 10) as write:
            for frame in reds(12):
                write(frame)
        assert [one.name for one in path.parent.iterdir()] == [path.name]
        np.testing.assert_allclose(levels(frames_of(path)), levels(reds(12)), atol=9)
        path.unlink()


def test_odd_and_changing_sizes_are_written(tmp_path: Path) -> None:
    path = tmp_path / "odd.mp4"
    with video_file(path, 10) as write:
        write(np.full((45, 61, 3), 200, np.uint8))
        write(np.full((90, 61, 3), 200, np.uint8))
    first, second = frames_of(path)
    assert first.shape == second.shape == (44, 60, 3)
    assert second[:, :10].max() < 60  # black borders beside what is narrower
    assert second[10:-10, 25:35].min() > 150


def test_an_odd_column_is_cut_off_not_squeezed_in(tmp_path: Path) -> None:
    stripes = np.zeros((48, 61, 3), np.uint8)
    stripes[:, np.arange(61) // 4 % 2 == 1] = 255
    with video_file(tmp_path / "odd.avi", 10) as write:
        write(stripes)
    (found,) = frames_of(tmp_path / "odd.avi")
    assert found.shape == (48, 60, 3)
    blurred = (found > 90) & (found < 165)
    assert blurred.mean() < 0.02


def test_a_video_appears_whole_or_not_at_all(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"

    def fails() -> None:
        with video_file(path, 10) as write:
            write(reds(1)[0])
            assert not path.exists()
            raise ValueError("stop")

    with pytest.raises(ValueError, match="stop"):
        fails()
    with video_file(path, 10):
        pass
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_no_video_has_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RenderError, match=r"clip\.png: no video is written as that; use \.mp4"):
        video_file(tmp_path / "clip.png", 10).__enter__()
    (tmp_path / "is.mp4").mkdir()
    with pytest.raises(RenderError, match="it is a folder"):
        video_file(tmp_path / "is.mp4", 10).__enter__()


def test_opencv_without_an_encoder_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Closed:
        fourcc = staticmethod(lambda *_: 0)

        def __init__(self, *_: object) -> None: ...

        def isOpened(self) -> bool:  # noqa: N802 - OpenCV's
            return False

    monkeypatch.setattr(cv2, "VideoWriter", Closed)
    with (
        pytest.raises(RenderError, match=r"this OpenCV has no encoder for it; try \.avi"),
        video_file(tmp_path / "a.mp4", 10) as write,
    ):
        write(reds(1)[0])
    assert list(tmp_path.iterdir()) == []


def rate(times: list[float], fps: float = 10) -> list[int]:
    """The numbers of the frames that a video of a constant rate gets."""
    written: list[Any] = []
    made = ConstantRate(written.append, fps)
    for number, seconds in enumerate(times):
        made.add(np.full((1, 1, 3), number, np.uint8), seconds)
    made.close()
    assert made.count == len(written)
    return [int(one[0, 0, 0]) for one in written]


def test_a_constant_rate_shows_each_frame_at_its_time() -> None:
    assert rate([0, 0.1, 0.2, 0.3]) == [0, 1, 2, 3]
    assert rate([7, 7.1, 7.2]) == [0, 1, 2]  # a part that begins later
    assert rate([0, 0.3, 0.4]) == [0, 0, 0, 1, 2]  # a variable rate
    assert rate([0, 0.01, 0.02, 0.1]) == [2, 3]  # a camera that is faster
    assert rate([0, 0.033, 0.067, 0.1, 0.133], 30) == [0, 1, 2, 3, 4]
    assert rate([]) == []


def test_a_time_that_jumps_makes_no_endless_video() -> None:
    assert rate([0, 0.1, 1e6, 1e6 + 0.1]) == [0, 1, 2, 3]
    assert rate([5, 5.1, 0.1, 0.2]) == [0, 1, 2, 3]
