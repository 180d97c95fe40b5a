"""Frames of videos and cameras come in order with their times, and become a video again."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from graftcam.runtime import Explainer, read_frames, video_file
from graftcam.runtime.errors import GraftcamError, ImageError, RenderError
from graftcam.runtime.inputs import camera as source
from graftcam.runtime.inputs.camera import Camera
from graftcam.runtime.inputs.video import RATE, VideoFile
from graftcam.runtime.output.video import ConstantRate
from graftcam.runtime.output.video_frame import Smoother, captioned, draw_frame
from support.artifacts import SCENE
from support.videos import SIZE, cut_off, frames_of, plain_frames, reds, turned, write_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty frames of ever more red, ten a second."""
    return write_video(tmp_path_factory.mktemp("video") / "clip.avi", reds(20))


def levels(frames: Any) -> list[int]:
    return [int(frame[:, :, 0].mean()) for frame in frames]


def test_all_frames_come_in_order_in_rgb_with_their_times(clip: Path) -> None:
    with VideoFile(clip) as frames:
        found = list(frames)
    assert (frames.fps, frames.total, frames.broken) == (10, 20, "")
    assert [one.number for one in found] == list(range(20))
    np.testing.assert_allclose([one.seconds for one in found], np.arange(20) / 10, atol=1e-3)
    assert found[0].image.shape == (*SIZE, 3)
    assert found[0].image.dtype == np.uint8
    # JPEG's error is at most a few levels.
    np.testing.assert_allclose(levels(one.image for one in found), levels(reds(20)), atol=3)


@pytest.mark.parametrize(
    ("options", "numbers"),
    [
        ({"every": 7}, [0, 7, 14]),
        ({"start": 1.0}, list(range(10, 20))),
        ({"start": 0.5, "end": 1.0}, [5, 6, 7, 8, 9]),
        ({"start": 0.5, "end": 1.1, "every": 3}, [5, 8]),
        ({"end": 0.3}, [0, 1, 2]),
    ],
)
def test_some_of_the_frames(clip: Path, options: dict[str, Any], numbers: list[int]) -> None:
    with VideoFile(clip, **options) as frames:
        found = list(frames)
    assert [one.number for one in found] == numbers
    np.testing.assert_allclose(
        levels(one.image for one in found), [levels(reds(20))[n] for n in numbers], atol=3
    )
    assert abs(frames.total - len(numbers)) <= 1
    assert frames.broken == ""


def test_a_file_that_cannot_be_entered_in_the_middle_is_read_up_to_there(
    clip: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = cv2.VideoCapture

    class Rigid:
        def __init__(self, *given: Any) -> None:
            self._capture = whole(*given)

        def __getattr__(self, name: str) -> Any:
            return (lambda *_: False) if name == "set" else getattr(self._capture, name)

    monkeypatch.setattr(cv2, "VideoCapture", Rigid)
    with VideoFile(clip, every=3, start=0.5, end=1.2) as frames:
        assert [one.number for one in frames] == [5, 8, 11]


def test_frames_are_upright_as_the_file_says(tmp_path: Path) -> None:
    top = np.zeros((*SIZE, 3), np.uint8)
    top[: SIZE[0] // 2] = 200
    path = turned(write_video(tmp_path / "phone.mp4", [top] * 4))
    (image, *_) = read_frames(path)
    assert image.shape == (SIZE[1], SIZE[0], 3)
    # A quarter to the right: what was above is on the right.
    assert image[:, -10:].mean() > 150 > 50 > image[:, :10].mean()


def test_a_file_that_is_cut_off_gives_what_there_is_and_says_so(tmp_path: Path) -> None:
    path = cut_off(write_video(tmp_path / "cut.avi", reds(40)), 0.5)
    with VideoFile(path) as frames:
        found = list(frames)
    assert 3 < len(found) < 30
    last = f"{found[-1].seconds:.1f} s of 4.0 s"
    assert frames.broken == f"{path} is damaged or cut off: it ends at {last}"
    given = read_frames(path)
    assert len([next(given) for _ in found]) == len(found)
    with pytest.raises(ImageError, match="damaged or cut off"):
        next(given)


def test_the_caller_may_stop(clip: Path) -> None:
    frames = read_frames(clip)
    next(frames)
    frames.close()


REFUSED = {
    "missing": (None, "no such file"),
    "empty": (b"", "is empty"),
    "text": (b"I am no video." * 99, "is no video that OpenCV can read, or damaged"),
    "playlist": (b"#EXTM3U\n#EXTINF:5,\nother.mp4\n", "is a list of other files, no video"),
    "concat": (b"ffconcat version 1.0\nfile other.mp4\n", "is a list of other files, no video"),
    "manifest": (b'\n<?xml version="1.0"?><MPD/>', "is a list of other files, no video"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_is_no_video_is_refused_in_one_line(name: str, tmp_path: Path) -> None:
    data, message = REFUSED[name]
    path = tmp_path / f"{name}.mp4"
    if data is not None:
        path.write_bytes(data)
    with pytest.raises(ImageError, match=message) as caught:
        list(read_frames(path))
    assert "\n" not in str(caught.value)


def test_a_folder_a_video_without_frames_and_a_start_behind_its_end(
    clip: Path, tmp_path: Path
) -> None:
    with pytest.raises(ImageError, match="is no file"):
        VideoFile(tmp_path)
    with pytest.raises(ImageError, match=r"gives no frame: there is none in it|is no video"):
        list(read_frames(write_video(tmp_path / "none.avi", [])))
    with pytest.raises(ImageError, match=r"gives no frame: it is 2\.0 s long"):
        list(read_frames(clip, start=99))
    with pytest.raises(ImageError, match="64 x 48 pixels, more than 100"):
        VideoFile(clip, max_pixels=100)


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


def test_a_drawn_frame_has_one_size_and_a_caption(explainer: Explainer) -> None:
    image = cv2.resize(SCENE, (400, 300))
    found = explainer.explain(image, ["red", "green"])
    drawn = draw_frame(found, {})
    assert drawn.shape == (300, 800, 3)
    assert draw_frame(found, {}, beside=True).shape == (300, 1200, 3)
    np.testing.assert_array_equal(drawn[:200, :400], found.draw("red")[:200])
    assert not np.array_equal(drawn[-20:, :60], found.draw("red")[-20:, :60])
    small = explainer.explain(SCENE[:40, :60], "red")
    assert draw_frame(small, {}).shape == (240, 360, 3)


def test_a_caption_is_ascii_and_fits() -> None:
    image = np.full((100, 80, 3), 255, np.uint8)
    assert captioned(image, "").tolist() == image.tolist()
    drawn = captioned(image, "a very long name of a class \x1b[2J that has no room")
    assert drawn.shape == image.shape
    assert (drawn[:70] == 255).all()
    assert drawn[-5:, :10].max() < 255


def test_smoothing_averages_a_class_with_the_frames_before(explainer: Explainer) -> None:
    def frame(level: int, *names: str) -> Any:
        (image,) = plain_frames([(level, level, level)], (40, 40))
        return explainer.explain(image, list(names))

    first, second = frame(100, "red"), frame(200, "red")
    smooth = Smoother(0.75)
    np.testing.assert_array_equal(smooth(first).maps, first.maps)
    mixed = smooth(second).maps
    np.testing.assert_allclose(mixed, 0.75 * first.maps + 0.25 * second.maps, rtol=1e-6)
    other = frame(200, "green")
    np.testing.assert_array_equal(smooth(other).maps, other.maps)
    np.testing.assert_array_equal(smooth(first).maps, first.maps)  # it starts anew
    assert Smoother(0)(first) is first


def test_many_frames_are_explained_in_bounded_memory(explainer: Explainer) -> None:
    alive, most = 0, 0

    class Image(np.ndarray):
        def __del__(self) -> None:
            nonlocal alive
            alive -= 1

    def frames() -> Any:
        nonlocal alive, most
        for _ in range(120):
            alive += 1
            most = max(most, alive)
            yield np.full((40, 40, 3), 90, np.uint8).view(Image)

    for found in explainer.explain_many(frames(), batch=2, readers=1):
        assert not isinstance(found, GraftcamError)
    assert most <= 12


class TestContext:
    """Both sources close what they opened, also after an error."""

    def test_camera(self, camera: type[FakeCamera]) -> Any:
        with pytest.raises(ValueError, match="x"), Camera(0) as frames:
            raise ValueError("x")
        assert frames._capture.released  # pyright: ignore[reportPrivateUsage,reportAttributeAccessIssue]

    def test_file(self, clip: Path) -> None:
        with pytest.raises(ValueError, match="x"), VideoFile(clip) as frames:
            raise ValueError("x")
        assert not frames._capture.isOpened()  # pyright: ignore[reportPrivateUsage]
