"""No command writes over what it reads, and a bad destination is refused before the work."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from graftcam.cli import main
from graftcam.commands.guarded import Destination, GuardedCommand
from support.artifacts import spec, write_artifact
from support.cli import refuse, succeed
from support.images import images, write_images

# Nothing is read: the contents of the files do not matter.
FILES = ("m.onnx", "n.onnx", "w.pt", "names.txt", "p.json", "photos/0.png", "d.npy", "release.toml")
OVER_AN_INPUT = [
    "export m.onnx -o m.onnx",
    "export m.onnx -o ./photos/../m.onnx",
    "export m.onnx -o link.onnx",
    "export m.onnx -o hard.onnx",
    "export m.onnx -o names.txt --labels names.txt",
    "export m.onnx -o names.txt --output a --output b --labels a=names.txt",
    "export a.b:c -o w.pt --weights w.pt",
    "export m.onnx -o p.json --preprocess p.json",
    "export m.onnx -o photos/0.png --images photos",
    "export m.onnx -o new.onnx --images photos --report photos",
    "optimize m.onnx -o m.onnx",
    "shrink m.onnx --images photos -o link.onnx",
    "shrink m.onnx --images photos -o photos/0.png",
    "verify m.onnx --json m.onnx",
    "verify m.onnx --against n.onnx --json n.onnx",
    "verify m.onnx --labels names.txt --json names.txt",
    "explain m.onnx photos/0.png -o photos/0.png",
    "explain m.onnx photos -o photos",
    "explain m.onnx photos/0.png -o d.npy --input x=d.npy",
    "explain m.onnx photos/0.png -o p.json --tokens p.json",
    "visualize m.onnx --score-weights d.npy -o d.npy",
    "visualize m.onnx --class 1 -o new.png --curve m.onnx",
    "diff m.onnx n.onnx photos -o photos",
    "diff m.onnx n.onnx photos/0.png -o n.onnx",
    "package m.onnx --triton -o m.onnx",
    "demo photos/0.png -o photos/0.png",
]


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The current folder, with files that commands are to read."""
    (tmp_path / "photos").mkdir()
    for name in FILES:
        (tmp_path / name).write_text(name)
    (tmp_path / "link.onnx").symlink_to("m.onnx")
    (tmp_path / "hard.onnx").hardlink_to(tmp_path / "m.onnx")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def contents(folder: Path) -> dict[str, str]:
    return {str(path): path.read_text() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize("line", OVER_AN_INPUT)
def test_no_command_writes_over_an_input(folder: Path, line: str) -> None:
    before = contents(folder)
    said = refuse(*line.split())
    assert " it is an input;" in said or " it is the input " in said
    assert contents(folder) == before


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("export m.onnx -o photos", "it is a folder"),
        ("export m.onnx -o /dev/null", "it is no regular file"),
        ("export m.onnx -o new.onnx --report n.onnx", "it is no folder"),
        ("optimize m.onnx -o pipe", "it is no regular file"),
        ("verify m.onnx --json n.onnx/verdict.json", "n.onnx is no folder"),
        ("visualize m.onnx --class 1 -o new.txt", "'.txt' is no image format"),
        ("visualize m.onnx --class 1 -o new.png --curve new", "'' is no image format"),
        ("visualize m.onnx --class 1 -o new.png --curve new.png", "--to and --curve both write"),
        ("visualize m.onnx --class 1 -o n.onnx/new.png", "n.onnx is no folder"),
        ("diff m.onnx n.onnx photos -o names.txt", "it is no folder"),
        ("demo -o names.txt/demo", "names.txt is no folder"),
    ],
)
def test_a_bad_destination_is_refused_before_any_work(folder: Path, line: str, reason: str) -> None:
    os.mkfifo(folder / "pipe")
    before = contents(folder)
    assert reason in refuse(*line.split())
    assert contents(folder) == before


def test_every_command_is_guarded_and_says_what_it_writes() -> None:
    for command in main.commands.values():
        assert isinstance(command, GuardedCommand), command.name
        for one in command.params:
            if one.name in ("path", "folder", "report", "curve", "file"):
                assert isinstance(one.type, Destination), (command.name, one.name)


def test_the_folder_of_the_inputs_is_a_good_place(artifact: Path, tmp_path: Path) -> None:
    photos = write_images(tmp_path / "photos", images(2, 8, 8))
    (photos / "1.png").rename(photos / "0-red.png")
    before = {path.name: path.read_bytes() for path in photos.iterdir()}
    succeed("explain", artifact, photos / "0-red.png", "-o", photos, "--class", "red")
    # The name of one's overlay is that of the other photograph.
    both = ("explain", artifact, photos / "0.png", photos / "0-red.png", "-o", photos)
    assert "0-red.png: it is an input" in refuse(*both, "--class", "red")
    assert {name: (photos / name).read_bytes() for name in before} == before


def test_images_of_one_name_are_told_apart(artifact: Path, tmp_path: Path) -> None:
    paths = [write_images(tmp_path / name, images(1, 8, 8)) / "0.png" for name in "ab"]
    succeed("explain", artifact, *paths, "-o", tmp_path / "out", "--class", "red")
    found = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert found == ["0-2-red.png", "0-red.png"]


def test_images_and_classes_whose_names_join_alike_are_told_apart(tmp_path: Path) -> None:
    model = write_artifact(tmp_path / "m.onnx", spec(labels=["fox", "red fox", "cat", "dog"]))
    photos = write_images(tmp_path / "photos", images(2, 8, 8))
    paths = [photos / "photo.png", photos / "photo-red.png"]
    for number, path in enumerate(paths):
        (photos / f"{number}.png").rename(path)
    asked = ("--class", "fox", "--class", "red fox", "--json")
    rows = json.loads(succeed("explain", model, *paths, "-o", tmp_path / "out", *asked).stdout)
    found = [Path(file).name for row in rows for file in row["files"]]
    assert found == [
        "photo-fox.png", "photo-red-fox.png", "photo-red-fox-2.png", "photo-red-red-fox.png",
    ]  # fmt: skip
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == sorted(found)


@pytest.mark.parametrize("suffix", ["png", "json"])
def test_one_file_for_two_images_becomes_two(artifact: Path, tmp_path: Path, suffix: str) -> None:
    photos = write_images(tmp_path / "photos", images(2, 8, 8))
    target = tmp_path / "out" / f"it.{suffix}"
    succeed("explain", artifact, photos / "0.png", photos / "1.png", "-o", target)
    names = sorted(path.name for path in target.parent.iterdir())
    assert names == [f"it-2.{suffix}", f"it.{suffix}"]


def test_a_folder_may_have_a_dot_in_its_name(artifact: Path, tmp_path: Path) -> None:
    photo = write_images(tmp_path / "photos", images(1, 8, 8)) / "0.png"
    succeed("explain", artifact, photo, "-o", tmp_path / "v1.2", "--class", "red")
    assert [path.name for path in (tmp_path / "v1.2").iterdir()] == ["0-red.png"]


@pytest.mark.parametrize("output", [".", "out"])
def test_a_job_does_not_write_among_its_images(artifact: Path, tmp_path: Path, output: str) -> None:
    photos = tmp_path / "overlays" / "photos"
    photos.parent.mkdir()
    write_images(photos, images(1, 8, 8))
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "overlays").symlink_to(photos.parent)
    said = refuse("explain", artifact, photos, "-o", tmp_path / output)
    assert "would lie among the images" in said
    assert [path.name for path in photos.iterdir()] == ["0.png"]


TABLES = {
    "source": ('[m]\nsource = "m.onnx"\nto = "m.onnx"\n', "[m] writes .*m.onnx, which [m] reads"),
    "link": ('[m]\nsource = "m.onnx"\nto = "link.onnx"\n', "[m] writes .*, which [m] reads"),
    "another's source": (
        '[m]\nsource = "m.onnx"\nto = "n.onnx"\n[n]\nsource = "n.onnx"\nto = "x.onnx"\n',
        "[m] writes .*n.onnx, which [n] reads",
    ),
    "labels": (
        '[m]\nsource = "m.onnx"\nlabels = "names.txt"\nto = "names.txt"\n',
        "[m] writes .*names.txt, which [m] reads",
    ),
    "config": ('[m]\nsource = "m.onnx"\nto = "release.toml"\n', "is the release's own file"),
    "lock": ('[m]\nsource = "m.onnx"\nto = "release.lock.json"\n', "the lock file and [m] both"),
    "one output": (
        '[m]\nsource = "m.onnx"\nto = "x.onnx"\n[n]\nsource = "n.onnx"\nto = "photos/../x.onnx"\n',
        "[m] and [n] both write .*x.onnx; give each its own",
    ),
    "one report": (
        '[defaults]\nreport = "r"\n[m]\nsource = "m.onnx"\nto = "x.onnx"\n'
        '[n]\nsource = "n.onnx"\nto = "y.onnx"\n',
        "[m] and [n] both write .*r; give each its own",
    ),
    "head": (
        '[m]\nsource = "m.onnx"\nto = "x.onnx"\nextra = ["head"]\n'
        '[n]\nsource = "n.onnx"\nto = "x.head.onnx"\n',
        "[m] writes .*x.head.onnx beside its artifact",
    ),
}


@pytest.mark.parametrize(("text", "message"), TABLES.values(), ids=TABLES)
def test_tables_of_a_release_overwrite_nothing(folder: Path, text: str, message: str) -> None:
    (folder / "release.toml").write_text(text)
    before = contents(folder)
    said = refuse("export", "--config", "release.toml")
    start, _, rest = message.partition(".*")
    assert start in said
    assert rest in said
    assert contents(folder) == before


def run_as(number: int, monkeypatch: pytest.MonkeyPatch, *, work: Callable[[], object]) -> int:
    """Run a command that does ``work``; the exit code."""
    monkeypatch.setitem(main.commands, "work", click.Command("work", callback=work))
    assert signal.getsignal(number) is not None
    return CliRunner().invoke(main, ["work"]).exit_code


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_signal_to_end_unwinds_the_command(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    number, unwound = getattr(signal, name), list[str]()
    before = signal.signal(number, signal.SIG_DFL)

    def work() -> None:
        try:
            signal.raise_signal(number)
        finally:
            unwound.append(name)
            assert signal.getsignal(number) is signal.SIG_DFL  # a second one kills

    try:
        assert run_as(number, monkeypatch, work=work) == 128 + number
        assert unwound == [name]
        assert signal.getsignal(number) is signal.SIG_DFL
        signal.signal(number, signal.SIG_IGN)  # as nohup does
        assert run_as(number, monkeypatch, work=lambda: signal.raise_signal(number)) == 0
        assert signal.getsignal(number) is signal.SIG_IGN
    finally:
        signal.signal(number, before)


def test_an_error_of_the_system_is_one_line(monkeypatch: pytest.MonkeyPatch) -> None:
    def work() -> None:
        raise OSError(28, "No space left on device", "/tmp/graftcam-x/plain.onnx")

    monkeypatch.setitem(main.commands, "work", click.Command("work", callback=work))
    assert refuse("work") == "Error: /tmp/graftcam-x/plain.onnx: No space left on device"
