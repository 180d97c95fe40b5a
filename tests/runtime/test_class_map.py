"""One class of an explanation, by label, by position and in turn; and showing all of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import cv2
import numpy as np
import pytest

from graftcam.runtime import ClassMap, Explainer, Explanation
from graftcam.runtime.errors import ClassError, RenderError
from graftcam.runtime.output import show
from support.artifacts import SCENE, spec, write_artifact
from support.images import read_rgb


@pytest.fixture(scope="module")
def found(explainer: Explainer) -> Explanation:
    return explainer.explain(SCENE, ["red", "green", "empty", "red"])


def test_a_class_map_has_the_values_of_its_class(found: Explanation) -> None:
    green = found["green"]
    assert isinstance(green, ClassMap)
    assert (green.id, green.label, green.status) == (1, "green", "ok")
    assert green.score == pytest.approx(float(found.scores[1]))
    assert green.probability == pytest.approx(float(found.probabilities[1]))
    np.testing.assert_array_equal(green.map, found.maps[1])
    np.testing.assert_array_equal(green.heatmap, found.heatmaps[1])
    assert found["empty"].status == "zero"
    assert len(repr(green)) < 200


def test_classes_are_found_by_label_position_and_in_turn(found: Explanation) -> None:
    assert [one.label for one in found] == ["red", "green", "empty", "red"]
    assert len(found) == 4
    assert found[1].label == found[-3].label == found[np.int64(1)].label == "green"
    assert found[" Green "].id == 1
    assert found["red"]._position == 0, "the first of two"
    assert "green" in found
    assert -4 in found
    assert "blue" not in found
    assert 4 not in found
    assert None not in found
    assert found[-3]._position == 1


def test_classes_that_were_not_explained_are_refused(found: Explanation) -> None:
    with pytest.raises(ClassError, match="class 'gren' was not explained; nearest: 'green', 'red'"):
        found["gren"]
    with pytest.raises(ClassError, match="'zebra' was not explained; there are 4 explained"):
        found.draw("zebra")
    for which in (4, -5):
        with pytest.raises(IndexError, match=rf"no explained class at position {which}; there are"):
            found[which]
        with pytest.raises(ClassError):
            found.draw(which)
    with pytest.raises(TypeError):
        found[0.5]  # pyright: ignore[reportArgumentType]


def test_labels_that_differ_in_case_only_are_distinguished(tmp_path: Path) -> None:
    record = spec(labels=["Polish", "polish", "blue", "empty"])
    explainer = Explainer(write_artifact(tmp_path / "a.onnx", record))
    found = explainer.explain(SCENE, [0, 1])
    assert (found["Polish"].id, found["polish"].id, found["POLISH"].id) == (0, 1, 0)


def test_a_class_map_draws_and_saves_itself(found: Explanation, tmp_path: Path) -> None:
    look: Any = {"style": "heatmap", "scale": "shared"}
    np.testing.assert_array_equal(found["green"].draw(40, **look), found.draw("green", 40, **look))
    assert found["green"].save(tmp_path / "a.png") == tmp_path / "a.png"
    np.testing.assert_array_equal(read_rgb(tmp_path / "a.png"), found.draw("green"))
    assert found[3].save(tmp_path, name="b", suffix=".jpg") == tmp_path / "b-red.jpg"
    np.testing.assert_array_equal(np.load(found["green"].save(tmp_path / "c.npy")), found.maps[1:2])


def test_an_explanation_without_classes_is_empty(explainer: Explainer) -> None:
    nothing = explainer.explain(SCENE, [])
    assert list(nothing) == []
    assert len(nothing) == 0
    with pytest.raises(IndexError, match="position 0; there are 0"):
        nothing[0]


class Launcher:
    """Stands in for the program that opens files, and notes what it is given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, code: int | None) -> None:
        self.code, self.called = code, list[list[str]]()
        monkeypatch.setattr(show.subprocess, "Popen", self.start)

    def start(self, command: list[str], **_: object) -> Launcher:
        self.called.append(command)
        return self

    def wait(self, seconds: float) -> int:
        if self.code is None:
            raise subprocess.TimeoutExpired("viewer", seconds)
        return self.code


@pytest.fixture
def screen(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> pytest.MonkeyPatch:
    """A Linux desktop without notebook."""
    monkeypatch.setattr(show.sys, "platform", "linux")
    monkeypatch.setenv("DISPLAY", ":0")
    monkeypatch.setattr(show.shutil, "which", lambda name: f"/bin/{name}")
    monkeypatch.setattr(show.tempfile, "tempdir", str(tmp_path))
    return monkeypatch


@pytest.mark.parametrize("code", [0, None])
def test_where_there_is_a_screen_the_viewer_opens_the_panel(
    found: Explanation, screen: pytest.MonkeyPatch, code: int | None
) -> None:
    launcher = Launcher(screen, code)
    found.show(height=80, style="heatmap")
    ((program, path),) = launcher.called
    assert program == "/bin/xdg-open"
    np.testing.assert_array_equal(read_rgb(path), found.panel(80, style="heatmap"))


def test_macos_and_windows_have_launchers_of_their_own(
    found: Explanation, screen: pytest.MonkeyPatch
) -> None:
    launcher, opened = Launcher(screen, 0), list[Path]()
    screen.setattr(show.sys, "platform", "darwin")
    found.show()
    assert launcher.called[0][0] == "open"
    screen.setattr(show.sys, "platform", "win32")
    screen.setattr(show.os, "startfile", opened.append, raising=False)
    found.show()
    assert opened[0].suffix == ".png"
    assert opened[0].is_file()

    def no_viewer(path: Path) -> None:
        raise OSError(1155, "no application is associated with the file")

    screen.setattr(show.os, "startfile", no_viewer, raising=False)
    with pytest.raises(RenderError, match=r"no application is .*; write a file with"):
        found.show()


def test_where_nothing_can_show_it_the_error_names_save(
    found: Explanation, screen: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    Launcher(screen, 3)
    with pytest.raises(RenderError, match=r"xdg-open finds no viewer for .*explanation.save\("):
        found.show()
    before = list(tmp_path.iterdir())
    screen.setattr(show.shutil, "which", lambda _: None)
    with pytest.raises(RenderError, match=r"xdg-open is not installed; .*explanation.save\("):
        found.show()
    screen.delenv("DISPLAY")
    screen.delenv("WAYLAND_DISPLAY", raising=False)
    with pytest.raises(RenderError, match=r"there is no screen; write a file with explanation.sa"):
        found.show()
    assert list(tmp_path.iterdir()) == before, "no file is left behind"


def test_a_notebook_shows_the_panel_below_the_cell(
    found: Explanation, screen: pytest.MonkeyPatch
) -> None:
    shown: list[bytes] = []
    shell: Any = SimpleNamespace(kernel=None)
    display = SimpleNamespace(display=shown.append, Image=lambda data: data)
    screen.setitem(sys.modules, "IPython", SimpleNamespace(get_ipython=lambda: shell))  # pyright: ignore
    screen.setitem(sys.modules, "IPython.display", display)  # pyright: ignore
    launcher = Launcher(screen, 0)
    found.show(height=80)
    stored = cv2.imdecode(np.frombuffer(shown[0], np.uint8), cv2.IMREAD_COLOR)
    np.testing.assert_array_equal(stored[:, :, ::-1], found.panel(80))
    assert not launcher.called
    # IPython in a terminal shows no images.
    shell = SimpleNamespace()
    found.show()
    assert len(launcher.called) == len(shown) == 1
