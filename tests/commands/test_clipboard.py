"""The clipboard is an image, and --open shows what was written."""

from __future__ import annotations

import base64
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from graftcam.commands import clipboard
from graftcam.runtime.errors import RenderError
from graftcam.runtime.output import show
from support.box_artifacts import street, write_detector
from support.cli import fail, refuse, succeed
from support.images import images, write_images
from support.screen import SCREENS, screen


@pytest.fixture
def photo(tmp_path: Path) -> Path:
    return write_images(tmp_path / "photos", images(1, 40, 40)) / "0.png"


Answers = dict[str, bytes | None]


@pytest.fixture
def desktop(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Callable[..., list[list[str]]]:
    """A desktop whose tools print what the test says; the calls of tools are recorded."""
    monkeypatch.chdir(tmp_path)
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)

    def use(
        platform: str, answers: Answers, *, tools: bool = True, **environment: str
    ) -> list[list[str]]:
        calls: list[list[str]] = []
        for name, value in environment.items():
            monkeypatch.setenv(name, value)

        def run(arguments: list[str], **_: Any) -> subprocess.CompletedProcess[bytes]:
            calls.append(arguments)
            found = next((out for key, out in answers.items() if key in arguments[-1]), b"")
            if found is None:
                raise subprocess.TimeoutExpired(arguments, 10)
            return subprocess.CompletedProcess(arguments, 0 if found else 1, found, b"")

        monkeypatch.setattr(clipboard.sys, "platform", platform)
        monkeypatch.setattr(clipboard.subprocess, "run", run)
        monkeypatch.setattr(clipboard.shutil, "which", lambda name: name if tools else None)
        return calls

    return use


def test_wayland_and_x11(
    artifact: Path, photo: Path, desktop: Callable[..., list[list[str]]]
) -> None:
    offers = {"list-types": b"text/html\nimage/png\n", "image/png": photo.read_bytes()}
    calls = desktop("linux", offers, WAYLAND_DISPLAY="wayland-0", DISPLAY=":0")
    said = succeed("explain", artifact, "clipboard", "-o", "out", "--json")
    (row,) = json.loads(said.stdout)
    assert row["image"] == "clipboard"
    assert [Path(one).name.startswith("clipboard-") for one in row["files"]] == [True]
    assert calls[0] == ["wl-paste", "--list-types"]
    calls = desktop("linux", {**offers, "TARGETS": offers["list-types"]}, WAYLAND_DISPLAY="")
    said = succeed("explain", artifact, "clipboard", photo, "-o", "out")
    assert [line for line in said.stdout.splitlines() if line[0] != " "] == [
        "clipboard",
        f"{photo}",
    ]
    assert calls[1][0] == "xclip"
    assert calls[1][-1] == "image/png"


def test_nothing_of_it_stays(
    artifact: Path, photo: Path, desktop: Callable[..., list[list[str]]],
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path,
) -> None:  # fmt: skip
    place = tmp_path / "temporary"
    place.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(place))
    desktop("linux", {"TARGETS": b"image/jpeg", "image/jpeg": photo.read_bytes()}, DISPLAY=":0")
    succeed("explain", artifact, "clipboard", "-o", "out")
    fail("explain", artifact, "clipboard", "-o", "out", "--class", "pink")
    assert list(place.iterdir()) == []


def test_a_file_that_was_copied_in_a_file_manager(
    artifact: Path, photo: Path, desktop: Callable[..., list[list[str]]]
) -> None:
    copied = photo.rename(photo.with_name("a b.png"))
    listed = f"file:///none.png\r\n{copied.as_uri()}\r\n".encode()
    desktop("linux", {"TARGETS": b"text/uri-list", "text/uri-list": listed}, DISPLAY=":0")
    said = succeed("explain", artifact, "clipboard", "-o", "out")
    assert "a b-" in said.stdout


def test_macos_and_windows(
    artifact: Path, photo: Path, desktop: Callable[..., list[list[str]]]
) -> None:
    data = photo.read_bytes()
    desktop(
        "darwin", {"PNGf": "«data PNGf".encode() + data.hex().upper().encode() + "»\n".encode()}
    )
    assert succeed("explain", artifact, "clipboard", "-o", "out").stdout.startswith("clipboard\n")
    calls = desktop("win32", {"Clipboard": base64.b64encode(data) + b"\r\n"})
    assert succeed("explain", artifact, "clipboard", "-o", "out").stdout.startswith("clipboard\n")
    assert calls[0][:3] == ["powershell", "-NoProfile", "-STA"]


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "no screen": ({"platform": "linux"}, "there is no clipboard without a screen; give a file"),
    "no tool": (
        {"platform": "linux", "tools": False, "DISPLAY": ":0"},
        "xclip is missing, which reads the clipboard; install xclip"),
    "no tool on Wayland": (
        {"platform": "linux", "tools": False, "WAYLAND_DISPLAY": "w"}, "install wl-clipboard"),
    "nothing": ({"platform": "linux", "DISPLAY": ":0"}, "there is no image in the clipboard"),
    "a text": (
        {"platform": "linux", "DISPLAY": ":0", "answers": {"TARGETS": b"UTF8_STRING"}},
        "there is no image in the clipboard; copy one"),
    "a text on macOS": ({"platform": "darwin"}, "there is no image in the clipboard"),
    "a text on Windows": ({"platform": "win32"}, "there is no image in the clipboard"),
    "no answer": (
        {"platform": "linux", "DISPLAY": ":0", "answers": {"TARGETS": None}},
        "xclip got no answer from the clipboard; copy the image again"),
    "no image": (
        {"platform": "linux", "DISPLAY": ":0",
         "answers": {"TARGETS": b"image/png", "image/png": b"hello"}}, "clipboard.png"),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_without_an_image_it_is_one_line(
    name: str, artifact: Path, desktop: Callable[..., list[list[str]]]
) -> None:
    setting, message = REFUSED[name]
    desktop(**{"answers": {}, **setting})
    assert message in refuse("explain", artifact, "clipboard", "-o", "out")


def test_a_file_of_that_name_is_the_file(
    artifact: Path, photo: Path, desktop: Callable[..., list[list[str]]]
) -> None:
    desktop("linux", {})
    photo.rename("clipboard")
    assert succeed("explain", artifact, "clipboard", "-o", "out").stdout.startswith("clipboard\n")


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The files and folders that a viewer was asked to open."""
    found: list[Path] = []
    monkeypatch.setattr(show, "open_in_viewer", found.append)
    return found


def test_one_file_is_opened_and_of_several_their_folder(
    artifact: Path, photo: Path, tmp_path: Path, opened: list[Path]
) -> None:
    out = tmp_path / "out"
    succeed("explain", artifact, photo, "-o", out, "--class", "red", "--open")
    succeed("explain", artifact, photo, "-o", out, "--top", "2", "--open")
    succeed("explain", artifact, photo.parent, "-o", tmp_path / "folder", "--open")
    assert opened == [out / "0-red.png", out, tmp_path / "folder"]


def test_other_commands_open_what_they_write(
    artifact: Path, photo: Path, tmp_path: Path, opened: list[Path]
) -> None:
    import cv2

    out = tmp_path / "out"
    succeed("diff", artifact, artifact, photo, "-o", out, "--open")
    succeed("concepts", artifact, photo, "-o", out, "--components", "1", "--open")
    succeed("evaluate", artifact, photo, "-o", tmp_path / "scores", "--measure", "sparseness",
            "--open")  # fmt: skip
    detector = write_detector(tmp_path / "cells.onnx")
    cv2.imwrite(str(tmp_path / "street.png"), street()[:, :, ::-1])
    succeed("explain", detector, tmp_path / "street.png", "-o", out, "--open")
    assert opened == [
        out, out / "0-concepts.png", tmp_path / "scores" / "index.html", out / "street-boxes.png",
    ]  # fmt: skip


def test_open_needs_something_to_open(artifact: Path, photo: Path, tmp_path: Path) -> None:
    for arguments in (
        ("export", "a.onnx", "-o", tmp_path / "b.onnx", "--open"),
        ("verify", artifact, "--open"),
        ("verify", artifact, "--json", "-", "--open"),
    ):
        assert "--open shows the report; give its f" in fail(*arguments, code=2)
    found = succeed("diff", artifact, artifact, photo, "--open")
    assert "nothing was written that could be opened" in found.stderr


def test_without_a_screen_a_line_says_so_and_nothing_fails(
    artifact: Path, photo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(show.sys, "platform", "linux")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    found = succeed("explain", artifact, photo, "-o", tmp_path / "out", "--open")
    line = found.stderr.splitlines()[-1]
    assert line.startswith(f"cannot open {tmp_path / 'out'}")
    assert line.endswith(": there is no screen; it is written")
    with pytest.raises(RenderError, match="there is no screen"):
        show.open_in_viewer(tmp_path)


PASTES = """
import sys
from pathlib import Path
import click
from graftcam.commands.clipboard import pasted
with click.Context(click.Command("explain")):
    ((file, name),) = pasted([Path("clipboard")])
    print(name, file.read_bytes() == Path(sys.argv[1]).read_bytes())
"""


@pytest.mark.skipif(not (SCREENS and shutil.which("xclip")), reason="needs Xvfb and xclip")
def test_the_clipboard_of_x11(photo: Path) -> None:
    copy = ["xclip", "-quiet", "-selection", "clipboard", "-t", "image/png", "-i", str(photo)]
    with screen() as env, subprocess.Popen(copy, env=env, stderr=subprocess.PIPE) as owner:
        assert owner.stderr is not None
        owner.stderr.readline()  # it waits for those who paste
        done = subprocess.run(
            [sys.executable, "-c", PASTES, str(photo)], capture_output=True, text=True,
            check=False, env=env, cwd=photo.parent,
        )  # fmt: skip
        owner.terminate()
    assert (done.stdout, done.returncode) == ("clipboard True\n", 0), done.stderr
