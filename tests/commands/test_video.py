"""`graftcam explain` on videos and cameras: what is written, shown and said."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from graftcam.commands import video as command
from graftcam.commands import window
from graftcam.commands.progress import Counter
from graftcam.commands.signals import Terminated
from graftcam.commands.video_answers import MOST_SPANS, Answers, stamp
from graftcam.runtime.exit_codes import ExitCode
from support.artifacts_nd import write_volume
from support.box_artifacts import street, write_detector
from support.cli import call, fail, refuse, succeed
from support.images import images, write_images
from support.screen import SCREENS, screen
from support.videos import cut_off, frames_of, plain_frames, write_video

COLOURS = [(220, 10, 10)] * 8 + [(10, 10, 240)] * 4


@pytest.fixture(autouse=True)
def _no_screen(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DISPLAY", raising=False)
    monkeypatch.delenv("WAYLAND_DISPLAY", raising=False)


@pytest.fixture
def clip(tmp_path: Path) -> Path:
    """Eight red frames, then four blue ones, ten a second."""
    return write_video(tmp_path / "clip.avi", plain_frames(COLOURS))


def test_a_video_becomes_an_explained_video(artifact: Path, clip: Path, tmp_path: Path) -> None:
    said = succeed("explain", artifact, clip, "-o", tmp_path / "out")
    path = tmp_path / "out" / "clip-explained.mp4"
    assert list(path.parent.iterdir()) == [path]
    frames = frames_of(path)
    assert len(frames) == len(COLOURS)
    assert frames[0].shape == (240, 320, 3)  # small frames are enlarged for the words
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == 10
    lines = said.stdout.splitlines()
    assert lines[0] == f"{clip}: 12 frames, 1.1 s"
    assert [line.split()[:2] for line in lines[1:3]] == [
        ["0:00.0-0:00.7", "red"],
        ["0:00.8-0:01.1", "blue"],
    ]
    assert lines[3] == f"  -> {path}"


def test_a_class_a_part_and_a_file(artifact: Path, clip: Path, tmp_path: Path) -> None:
    path = tmp_path / "red.webm"
    given = ["--class", "red", "--start", "0.2", "--end", "0:01", "--every", "2"]
    said = succeed("explain", artifact, clip, "-o", path, *given, "--smooth", "0.5", "--json")
    (row,) = json.loads(said.stdout)
    assert len(frames_of(path)) == row["written"] == row["frames"] == 4
    assert [(one["label"], one["begin"], one["end"]) for one in row["spans"]] == [("red", 0.2, 0.8)]
    assert (row["fps"], row["failed"], row["files"]) == (5.0, 0, [str(path)])


def test_with_a_format_each_frame_is_a_file(artifact: Path, clip: Path, tmp_path: Path) -> None:
    given = ["explain", artifact, clip, "-o", tmp_path / "out", "--every", "5"]
    succeed(*given, "--format", "png")
    succeed(*given, "--format", "npy", "--top", "2")
    assert sorted(one.name for one in (tmp_path / "out").iterdir()) == [
        "clip-000000-red.png", "clip-000000.npy", "clip-000005-red.png", "clip-000005.npy",
        "clip-000010-blue.png", "clip-000010.npy",
    ]  # fmt: skip
    assert np.load(tmp_path / "out" / "clip-000005.npy").shape[0] == 2


def test_classes_stand_side_by_side(artifact: Path, clip: Path, tmp_path: Path) -> None:
    succeed("explain", artifact, clip, "-o", tmp_path / "a.avi", "--top", "2", "--panel")
    assert frames_of(tmp_path / "a.avi")[0].shape == (240, 960, 3)


def test_two_videos_of_one_name_stay_two(artifact: Path, clip: Path, tmp_path: Path) -> None:
    other = write_video(tmp_path / "clip.mp4", plain_frames(COLOURS[:3]))
    said = json.loads(
        succeed("explain", artifact, clip, other, "-o", tmp_path / "out", "--json").stdout
    )
    assert [one["frames"] for one in said] == [12, 3]
    assert len(frames_of(tmp_path / "out" / "clip-explained-2.mp4")) == 3


def test_the_boxes_of_a_detector_are_drawn(tmp_path: Path) -> None:
    model = write_detector(tmp_path / "detector.onnx")
    clip = write_video(tmp_path / "street.avi", [street(), street(), 0 * street()])
    given = ["explain", model, clip, "-o", tmp_path / "out"]
    (row,) = json.loads(succeed(*given, "--json").stdout)
    assert [one["label"] for one in row["spans"]] == ["2 green, 2 red", "no box"]
    height, width = street().shape[:2]
    first, _, last = frames_of(tmp_path / "out" / "street-explained.mp4")
    assert first.shape == (240, round(240 * width / height), 3)
    assert np.abs(first.astype(int) - last).mean() > 5
    assert "takes no --box N" in fail(*given, "--box", "1", code=2)
    assert "is a detector, whose boxes come and go; leave" in refuse(*given, "--smooth", "0.5")


def test_a_video_that_breaks_off_is_written_as_far_as_it_goes(
    artifact: Path, tmp_path: Path
) -> None:
    clip = cut_off(write_video(tmp_path / "cut.avi", plain_frames(COLOURS * 4)), 0.6)
    result = call("explain", artifact, clip, "-o", tmp_path / "out", "--json")
    assert result.exit_code == ExitCode.FAILED
    (row,) = json.loads(result.stdout)
    assert row["reasons"] == [result.stderr.splitlines()[0].removeprefix("failed: ")]
    assert "is damaged or cut off: it ends at" in row["reasons"][0]
    assert len(frames_of(tmp_path / "out" / "cut-explained.mp4")) == row["frames"] > 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["no.mp4", "-o", "out"], "no.mp4: no such file"),
        (["text.mp4", "-o", "out"], "text.mp4 is no video that OpenCV can read, or damaged"),
        (["http://a.b/c.mp4", "-o", "out"], "c.mp4: no such file"),
        (["9", "-o", "out"], "camera 9"),
        (["clip.avi"], "cannot open a window: there is no screen; write a file: -o out"),
        (["9"], "cannot open a window: there is no screen; write a file: -o out"),
        (["clip.avi", "-o", "out", "--window"], "cannot open a window: there is no screen"),
        (["clip.avi", "-o", "clip.avi"], "it is an input"),
        (["clip.avi", "-o", "a.png"], "a.png is no video; use one of .mp4"),
        (["clip.avi", "-o", "a.mp4", "--format", "png"], "give a folder, not a.mp4"),
        (["clip.avi", "clip.avi", "-o", "a.mp4"], "a.mp4 is one file for several videos"),
        (["clip.avi", "-o", "out", "--start", "99"], "gives no frame: it is 1.2 s long"),
        (["clip.avi", "-o", "out", "--max-pixels", "9"], "more than 9; raise --max-pixels"),
        (["clip.avi", "-o", "out", "--class", "pink"], "unknown label 'pink'"),
        (["clip.avi", "-o", "out", "--method", "camgrad"], "unknown method 'camgrad'"),
    ],
)
def test_what_cannot_be_done_is_refused_in_one_line(
    artifact: Path, clip: Path, arguments: list[str], message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(clip.parent)
    Path("text.mp4").write_text("no video")
    assert message in refuse("explain", artifact, *arguments)
    assert sorted(one.name for one in clip.parent.iterdir()) == ["clip.avi", "text.mp4"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["clip.avi", "a.png", "-o", "out"], "clip.avi is a video and a.png is none"),
        (["0", "clip.avi", "-o", "out"], "a camera (0) must be the only one"),
        (["clip.avi", "--no-window"], "--no-window leaves nothing to do; write a file"),
        (["clip.avi", "-o", "out", "--start", "1:x"], "'1:x' is no time such as 12.5, 1:30"),
        (["clip.avi", "-o", "out", "--start", "1:2:3:4"], "is no time such as"),
        (["clip.avi", "-o", "out", "--start", "-1"], "is no time such as"),
        (["clip.avi", "-o", "out", "--smooth", "1"], "1.0 is not in the range"),
        (["clip.avi", "-o", "out", "--every", "0"], "0 is not in the range"),
        (["clip.avi", "-o", "out", "--retry"], "only a folder of images takes --retry"),
        (["clip.avi", "-o", "o", "--method", "cam", "--method", "fem"], "takes one --method"),
        (["a.png", "-o", "out", "--every", "2"], "only a video or a camera takes --every"),
        (["a.png", "-o", "out", "--no-window"], "only a video or a camera takes --window"),
        ([".", "-o", "out", "--start", "2"], "only a video or a camera takes --start"),
    ],
)
def test_wrong_usage(
    artifact: Path, clip: Path, arguments: list[str], message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    monkeypatch.chdir(clip.parent)
    assert message in fail("explain", artifact, *arguments, code=ExitCode.USAGE)


def test_a_camera_has_no_start(artifact: Path, tmp_path: Path) -> None:
    said = fail("explain", artifact, "0", "-o", tmp_path, "--start", "3", code=ExitCode.USAGE)
    assert "--start is for video files; a camera starts now" in said


def test_a_file_named_like_a_camera_is_a_file(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (write_images(tmp_path / "in", images(1, 40, 40)) / "0.png").rename("0")
    assert succeed("explain", artifact, "0", "-o", "out").stdout.startswith("0\n")


class FakeWindow:
    """A window that the user closes after some frames."""

    shown: list[tuple[tuple[int, ...], str]]
    stops = 3

    def __init__(self, _title: str) -> None:
        type(self).shown = []

    def __enter__(self) -> FakeWindow:
        return self

    def __exit__(self, *_: object) -> None: ...

    def show(self, image: Any, state: str) -> bool:
        self.shown.append((image.shape, state))
        return len(self.shown) < self.stops


@pytest.fixture
def shown(monkeypatch: pytest.MonkeyPatch) -> type[FakeWindow]:
    monkeypatch.setattr(command, "Window", FakeWindow)
    monkeypatch.setattr(command, "why_no_window", lambda: "")
    return FakeWindow


def test_without_o_a_video_is_shown_until_the_user_ends_it(
    artifact: Path, clip: Path, shown: type[FakeWindow]
) -> None:
    said = succeed("explain", artifact, clip)
    assert said.stdout.startswith(f"{clip}: 3 frames, ")
    assert "->" not in said.stdout
    assert [shape for shape, _ in shown.shown] == [(240, 320, 3)] * 3
    assert shown.shown[0][1].endswith(" frames a second")


def test_what_was_shown_is_written_too(
    artifact: Path, clip: Path, tmp_path: Path, shown: type[FakeWindow]
) -> None:
    succeed("explain", artifact, clip, "-o", tmp_path / "out", "--window")
    assert len(shown.shown) == len(frames_of(tmp_path / "out" / "clip-explained.mp4")) == 3


@pytest.mark.parametrize(
    ("signal_of", "code"),
    [
        (KeyboardInterrupt, ExitCode.INTERRUPTED),
        (lambda: Terminated(signal.SIGTERM), ExitCode.TERMINATED),
    ],
)
def test_a_signal_ends_a_video_that_is_whole(
    signal_of: Callable[[], BaseException], code: int, artifact: Path, clip: Path, tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:  # fmt: skip
    def shows(self: Counter, done: int, _total: int) -> None:
        if done == 4:
            raise signal_of()

    monkeypatch.setattr(Counter, "__call__", shows)
    result = call("explain", artifact, clip, "-o", tmp_path / "out", "--json")
    assert result.exit_code == code
    assert "Interrupted; what was explained before is written" in result.stderr
    assert json.loads(result.stdout)[0]["frames"] == 4
    assert len(frames_of(tmp_path / "out" / "clip-explained.mp4")) == 4


class FakeCamera:
    """A camera of four frames."""

    name, fps, total, broken = "camera 0", 10.0, 0, ""

    def __init__(self, number: int, every: int, end: float | None) -> None:
        self.given = (number, every, end)

    def __enter__(self) -> FakeCamera:
        return self

    def __exit__(self, *_: object) -> None: ...

    def __iter__(self) -> Any:
        for number, frame in enumerate(plain_frames(COLOURS[:4])):
            yield SimpleNamespace(image=frame, seconds=number * 0.25, number=number)
        self.broken = "camera 0 gives no more images"


def test_a_camera_is_recorded_as_long_as_it_was(
    artifact: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graftcam.runtime.inputs import camera as source

    monkeypatch.setattr(source, "Camera", FakeCamera)
    result = call("explain", artifact, "0", "-o", tmp_path / "out", "--json")
    assert result.exit_code == ExitCode.FAILED  # it was unplugged
    assert "failed: camera 0 gives no more images" in result.stderr
    (row,) = json.loads(result.stdout)
    assert row["frames"] == 4
    # Three quarters of a second at ten frames each, and the last frame.
    assert len(frames_of(tmp_path / "out" / "camera-0-explained.mp4")) == 9


def test_a_frame_that_fails_stops_nothing_unless_it_is_the_first(
    artifact: Path, clip: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graftcam.runtime import Failure
    from graftcam.runtime.errors import ImageError
    from graftcam.runtime.explainer import Explainer

    whole, failing = Explainer.explain_many, {3}

    def some(*given: Any, **request: Any) -> Any:
        for number, found in enumerate(whole(*given, **request)):
            yield Failure(None, ImageError("no luck")) if number in failing else found

    monkeypatch.setattr(Explainer, "explain_many", some)
    result = call("explain", artifact, clip, "-o", tmp_path / "out")
    assert result.exit_code == ExitCode.FAILED
    assert f"failed: {clip}: 1 frame could not be explained: no luck" in result.stderr
    assert len(frames_of(tmp_path / "out" / "clip-explained.mp4")) == len(COLOURS)
    failing.add(0)
    assert refuse("explain", artifact, clip, "-o", tmp_path / "new") == "Error: no luck"
    assert not (tmp_path / "new").exists()


def test_a_model_of_whole_clips_takes_no_frames(clip: Path, tmp_path: Path) -> None:
    model = write_volume(tmp_path / "clips.onnx")
    said = refuse("explain", model, clip, "-o", tmp_path / "out")
    assert said.startswith("Error: clips.onnx takes whole clips, [?, 1, ")
    assert said.endswith("], no single frames; give a clip as an array (.npy)")


def test_a_long_video_has_a_short_answer() -> None:
    answers = Answers()
    for number in range(3 * MOST_SPANS):
        one = SimpleNamespace(labels=[f"class {number}"], probability=lambda _: 0.5)
        answers.add(one, float(number))  # pyright: ignore[reportArgumentType]
    assert (len(answers.spans), answers.left_out) == (MOST_SPANS, 2 * MOST_SPANS)
    assert answers.lines()[-1] == f"  and {3 * MOST_SPANS - 8} more (--json lists them)"
    assert [stamp(one) for one in (0, 61.25, 3600)] == ["0:00.0", "1:01.2", "60:00.0"]


def test_why_there_is_no_window(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(window.sys, "platform", "linux")
    assert window.why_no_window() == "there is no screen"
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setitem(sys.modules, "tkinter", None)
    assert "lacks tkinter (Debian, Ubuntu: apt install python3-tk)" in window.why_no_window()


SHOWS = """
import numpy as np
from graftcam.commands.window import Window
with Window("clip.mp4") as window:
    image = np.zeros((1000, 4000, 3), np.uint8)
    image[:, :, 0] = 255
    assert window.show(image, "3.0 frames a second")
    root = window._root
    print(root.title(), window._photo.width(), window._photo.height(), window._photo.get(5, 5))
    root.event_generate("<Escape>", when="tail")
    root.focus_force()
    root.update()
    print(window.show(image, "") and window.show(image, ""))
"""


@pytest.mark.skipif(not SCREENS, reason="needs Xvfb")
def test_a_window_shows_frames_and_ends_at_escape() -> None:
    pytest.importorskip("tkinter")
    with screen() as env:
        done = subprocess.run(
            [sys.executable, "-c", SHOWS], capture_output=True, text=True, check=False, env=env
        )
    assert done.returncode == 0, done.stderr
    first, second = done.stdout.splitlines()
    assert first == "clip.mp4  3.0 frames a second  (q ends) 720 180 (255, 0, 0)"
    assert second == "False"
