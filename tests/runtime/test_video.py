"""Frames of videos come in order with their times, and are explained and drawn."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from graftcam.runtime import Explainer, read_frames
from graftcam.runtime.errors import GraftcamError, ImageError
from graftcam.runtime.inputs.video import VideoFile
from graftcam.runtime.output.video_frame import Smoother, captioned, draw_frame
from support.artifacts import SCENE
from support.videos import SIZE, cut_off, levels, plain_frames, reds, turned, write_video


@pytest.fixture(scope="module")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Twenty frames of ever more red, ten a second."""
    return write_video(tmp_path_factory.mktemp("video") / "clip.avi", reds(20))


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


def test_a_file_is_closed_after_an_error(clip: Path) -> None:
    with pytest.raises(ValueError, match="x"), VideoFile(clip) as frames:
        raise ValueError("x")
    assert not frames._capture.isOpened()  # pyright: ignore[reportPrivateUsage]
