"""Animations: whole files, frames in their order, sizes that fit."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest

from graftcam.runtime import Explainer, animate, animation_file
from graftcam.runtime.errors import RenderError
from graftcam.runtime.output import animation, video
from graftcam.runtime.output.figures import caption_of
from graftcam.runtime.output.render import Look, palette
from graftcam.runtime.output.views import Drawing
from graftcam.runtime.output.views.volume import FramesView
from support.artifacts import SCENE

COLOURS = [(200, 30, 30), (30, 160, 30), (30, 30, 200)]


def frames(path: Path) -> list[np.ndarray]:
    """A file's frames, RGB."""
    if path.suffix == ".gif":
        _, found = cv2.imreadanimation(str(path))
        return [one[:, :, 2::-1] for one in found.frames]
    video, found = cv2.VideoCapture(str(path)), []
    while True:
        there, image = video.read()
        if not there:
            return found
        found.append(image[:, :, ::-1])


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_frames_come_back_in_their_order_and_colours(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"film{suffix}"
    with animation_file(path, fps=4) as add:
        for colour in COLOURS:
            add(np.full((50, 71, 3), colour, np.uint8))
        assert not path.exists()
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    found = frames(path)
    assert len(found) == 3
    for image, colour in zip(found, COLOURS, strict=True):
        assert image.shape == (50, 72, 3)  # encoders take two pixels at once
        assert np.abs(np.median(image[:, 2:68], axis=(0, 1)) - colour).max() < 12
    assert cv2.VideoCapture(str(path)).get(cv2.CAP_PROP_FPS) == pytest.approx(4, rel=0.01)


def test_a_frame_of_another_size_is_fitted_on_white(tmp_path: Path) -> None:
    path = tmp_path / "film.gif"
    with animation_file(path) as add:
        add(np.zeros((40, 60, 3), np.uint8))
        add(np.zeros((80, 20, 3), np.uint8))
    dark = frames(path)[1].mean(axis=2) < 100
    rows, columns = np.flatnonzero(dark.any(axis=1)), np.flatnonzero(dark.any(axis=0))
    assert (rows[0], rows[-1]) == (0, 39)
    assert (columns[0], columns[-1]) == (25, 34)


@pytest.mark.parametrize("suffix", [".mp4", ".gif"])
def test_an_error_leaves_no_file_and_no_folder(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / "new" / f"film{suffix}"

    def interrupted() -> None:
        with animation_file(path) as add:
            add(SCENE)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert list(tmp_path.iterdir()) == []


def test_wrong_files_and_speeds_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        pytest.raises(RenderError, match=r"'\.avi' is no animation; use .mp4 or .gif"),
        animation_file("x.avi"),
    ):
        pass
    with (
        pytest.raises(RenderError, match=r"fps=0 is out of range; give 0.05 to 60 frames a second"),
        animation_file("x.gif", fps=0),
    ):
        pass
    with pytest.raises(RenderError, match="there are no frames to write"), animation_file("x.gif"):
        pass
    (tmp_path / "film.mp4").mkdir()
    with (
        pytest.raises(RenderError, match=r"cannot write .*film.mp4"),
        animation_file(tmp_path / "film.mp4"),
    ):
        pass
    monkeypatch.setattr(animation, "_LARGEST_GIF", 2 * SCENE.nbytes)
    with animation_file(tmp_path / "long.gif") as add:
        add(SCENE)
        add(SCENE)
        with pytest.raises(RenderError, match="3 frames of 160 x 80 pixels are too many for a GIF"):
            add(SCENE)
    (tmp_path / "long.gif").unlink()
    monkeypatch.delattr(cv2, "imencodeanimation")
    with (
        pytest.raises(RenderError, match=r"writes no GIF; install 4.12 or newer, or write .mp4"),
        animation_file("x.gif"),
    ):
        pass
    monkeypatch.setattr(video, "_OF_BROWSERS", {".mp4": ("none",)})
    with (
        pytest.raises(RenderError, match="has no encoder for it"),
        animation_file(tmp_path / "a.mp4") as add,
    ):
        add(SCENE)
    assert [one.name for one in tmp_path.iterdir()] == ["film.mp4"]


def test_a_sweep_has_a_frame_for_each_class_of_each_method(
    explainer: Explainer, tmp_path: Path
) -> None:
    one = explainer.explain(SCENE, ["red", "green"])
    other = replace(one, method="other")
    path = animate([one, other], tmp_path / "sweep.gif")
    found = frames(path)
    assert len(found) == 4
    assert found[0].shape == (26 + 80, 200, 3)  # captions need room
    shown = one.draw("green").astype(int)
    assert np.abs(found[1][26:, :160] - shown).mean() < 25
    assert caption_of(other, 1, "other") == f"other, green, p = {one['green'].probability:.3f}"
    assert one.save(tmp_path / "one.gif") == [tmp_path / "one.gif"]
    assert len(frames(tmp_path / "one.gif")) == 2
    with pytest.raises(RenderError, match="an animation has no colour bars"):
        animate([one], path, bar=True)
    with pytest.raises(RenderError, match="there are no frames"):
        animate([explainer.explain(SCENE, [])], tmp_path / "none.gif")


def test_the_images_of_a_clip_are_frames_with_their_parts_of_the_map(tmp_path: Path) -> None:
    clip = np.zeros((5, 3, 40, 60), np.uint8)
    clip[:] = 90
    view = FramesView(clip, 1)
    assert view.frames == 5
    values = np.zeros((5, 2, 3), np.float32)
    values[3] = 1
    drawn = list(view.draw_frames(Drawing(values, palette(), Look(alpha=1), 80)))
    assert [one.shape for one in drawn] == [(80, 120, 3)] * 5
    assert [bool((one != 90).any()) for one in drawn] == [False, False, False, True, False]
