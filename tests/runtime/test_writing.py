"""Files appear completely or not at all, never over an input, and no draft stays."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.errors import JobError, RenderError, SessionError
from graftcam.runtime.inorder import in_order
from graftcam.runtime.session.optimize import optimize
from graftcam.runtime.writing import (
    atomic_write,
    guard,
    protected,
    refuse_twice,
    replace_file,
    staged,
)
from support.images import images, write_images

Name = Callable[[Path], Path]


def renamed(path: Path) -> Path:
    (path.parent / "sub").mkdir()
    return path.parent / "sub" / ".." / path.name


def linked(path: Path) -> Path:
    link = path.with_name("link")
    link.symlink_to(path)
    return link


def hard_linked(path: Path) -> Path:
    link = path.with_name("hard")
    link.hardlink_to(path)
    return link


def below_a_link(path: Path) -> Path:
    folder = path.parent / "folder"
    folder.symlink_to(path.parent)
    return folder / path.name


NAMES: list[Name] = [lambda path: path, renamed, linked, hard_linked, below_a_link]


@pytest.mark.parametrize("name", NAMES)
def test_no_name_of_an_input_can_be_written(tmp_path: Path, name: Name) -> None:
    source = tmp_path / "source"
    source.write_text("weights")
    path = name(source)
    with pytest.raises(RenderError, match=r"cannot write .*: it is (an|the) input"):
        guard(path, [source], RenderError)
    with protected([source]), pytest.raises(JobError, match="input"):
        replace_file(path, b"", JobError)
    with (
        protected([source]),
        pytest.raises(JobError, match="input"),
        staged(path.parent, JobError) as place,
    ):
        (place / path.name).write_text("")
    assert source.read_text() == "weights"
    assert path.read_text() == "weights"


def test_what_is_protected_ends_with_its_context(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.touch()
    second.touch()
    with protected([first]):
        with protected([second]), pytest.raises(JobError):
            replace_file(first, b"", JobError)
        replace_file(second, b"new", JobError)
    replace_file(first, b"new", JobError)
    assert first.read_bytes() == second.read_bytes() == b"new"


def test_threads_know_what_is_protected(tmp_path: Path) -> None:
    source = tmp_path / "source"
    source.touch()

    def write(number: int) -> str:
        with pytest.raises(JobError) as caught:
            replace_file(source, bytes(number), JobError)
        return str(caught.value)

    with protected([source]):
        assert all("input" in one for one in in_order(write, range(4), 2, ahead=2))


def test_an_explanation_does_not_replace_what_it_explains(artifact: Path, tmp_path: Path) -> None:
    photo = write_images(tmp_path / "photos", images(1, 8, 8)) / "0.png"
    before = photo.read_bytes()
    found = Explainer(artifact).explain(photo, ["red", "green"])
    with pytest.raises(RenderError, match="input"):
        found[0].save(photo)
    # The folder of the photograph is a good place; one class's name may be the photograph's.
    other = photo.rename(photo.with_name("0-red.png"))
    again = Explainer(artifact).explain(other, ["red"])
    with pytest.raises(RenderError, match="input"):
        again.save(photo.parent, name="0")
    assert other.read_bytes() == before
    assert [path.name for path in again.save(photo.parent)] == ["0-red-red.png"]


def test_optimize_refuses_its_artifact(artifact: Path, tmp_path: Path) -> None:
    before = artifact.read_bytes()
    link = tmp_path / "link.onnx"
    link.symlink_to(artifact)
    for target in (artifact, link):
        with pytest.raises(SessionError, match="input"):
            optimize(artifact, target, "cpu")
    assert artifact.read_bytes() == before


def test_a_link_is_replaced_and_what_it_leads_to_stays(tmp_path: Path) -> None:
    behind, link, loose = (tmp_path / name for name in ("behind", "link", "loose"))
    behind.write_text("old")
    link.symlink_to(behind)
    loose.symlink_to(tmp_path / "nothing")
    for path in (link, loose):
        replace_file(path, b"new", JobError)
        assert not path.is_symlink()
        assert path.read_text() == "new"
    assert behind.read_text() == "old"
    assert not (tmp_path / "nothing").exists()


def test_places_where_no_file_can_be_are_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    os.mkfifo(tmp_path / "pipe")
    for path, reason in (
        (tmp_path, "it is a folder"),
        (tmp_path / "pipe", "it is no regular file"),
        (Path(os.devnull), "it is no regular file"),
        (tmp_path / "file" / "below", "file is no folder"),
        (tmp_path / ("n" * 300), "File name too long"),
    ):
        with pytest.raises(JobError, match=rf"cannot write .*{reason}.*; choose another place"):
            guard(path, (), JobError)
    for path in (tmp_path / "file", tmp_path / "pipe", tmp_path / "file" / "below"):
        with pytest.raises(JobError, match="is no folder"):
            guard(path, (), JobError, folder=True)
    guard(tmp_path, (), JobError, folder=True)
    guard(tmp_path / "new" / "newer", (), JobError, folder=True)
    guard(tmp_path / "new" / "file", (), JobError)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["file", "pipe"]


def test_a_folder_without_permission_is_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "access", lambda *_: False)  # root may write everywhere
    with pytest.raises(JobError, match=rf"{tmp_path} cannot be written"):
        guard(tmp_path / "new" / "file", (), JobError)


def test_two_outputs_at_one_place_are_refused(tmp_path: Path) -> None:
    paths = [tmp_path / "a.png", tmp_path / "sub" / ".." / "A.png"]
    with pytest.raises(JobError, match=r"--to and --curve both write .*; give each its own"):
        refuse_twice(zip(("--to", "--curve"), paths, strict=True), JobError)
    refuse_twice([("--to", tmp_path / "a.png"), ("--curve", tmp_path / "b.png")], JobError)


def fill(path: Path) -> None:
    """Write a part of a file to a disk that is full then."""
    path.write_text("half")
    raise OSError(28, "No space left on device")


def test_a_failed_write_leaves_the_earlier_file_and_no_folder(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("old")
    for path in (tmp_path / "file", tmp_path / "new" / "newer" / "file"):
        with (
            pytest.raises(JobError, match=r"cannot write .*file: No space"),
            atomic_write(path, JobError) as place,
        ):
            fill(place)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "old"


def test_staged_files_move_together_and_the_last_one_last(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    moved: list[str] = []
    replace = Path.replace

    def noted(path: Path, target: Path) -> Path:
        moved.append(target.name)
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", noted)
    with staged(tmp_path / "new", JobError, last="a") as place:
        for name in "abc":
            (place / name).write_text(name)
        (place / "folder").mkdir()
    assert moved == ["b", "c", "folder", "a"]
    assert sorted(path.name for path in (tmp_path / "new").iterdir()) == ["a", "b", "c", "folder"]


def fill_folder(place: Path) -> None:
    (place / "folder").mkdir()
    for name in ("new", "old", "z"):
        (place / name).write_text("new")


def test_if_one_of_staged_files_cannot_move_all_is_as_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "old").write_text("old")
    replace = Path.replace

    def full(path: Path, target: Path) -> Path:
        if target.name == "z":
            raise OSError(28, "No space left on device")
        return replace(path, target)

    monkeypatch.setattr(Path, "replace", full)
    with (
        pytest.raises(JobError, match=r"cannot write it: No space left"),
        staged(tmp_path, JobError, "it") as place,
    ):
        fill_folder(place)
    assert [path.name for path in tmp_path.iterdir()] == ["old"]
    assert (tmp_path / "old").read_text() == "old"


def test_a_full_disk_in_a_staged_folder_is_one_line(tmp_path: Path) -> None:
    new = tmp_path / "new"
    with pytest.raises(JobError, match=r"cannot write .*new: No space"), staged(new, JobError):
        raise OSError(28, "No space left on device")
    with pytest.raises(FileNotFoundError), staged(new, JobError):
        raise FileNotFoundError(2, "another fault", "weights")
    assert list(tmp_path.iterdir()) == []


WRITER = """
import sys, time
from pathlib import Path
from graftcam.commands.signals import ending_by_signals
from graftcam.runtime.errors import JobError
from graftcam.runtime.writing import atomic_write, staged

folder = Path(sys.argv[1])
with ending_by_signals(), atomic_write(folder / "file", JobError) as one:
    with staged(folder, JobError) as two:
        one.write_text("half")
        (two / "part").write_text("half")
        print("ready", flush=True)
        # One long sleep misses a signal that comes between Python's look and the system's call.
        for _ in range(600):
            time.sleep(0.1)
"""


@contextmanager
def writer(folder: Path) -> Generator[subprocess.Popen[str]]:
    """A process that drafts a file and a folder of files."""
    program = [sys.executable, "-c", WRITER, str(folder)]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        try:
            yield process
        finally:
            process.kill()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_process_that_is_told_to_end_leaves_no_draft(tmp_path: Path) -> None:
    with writer(tmp_path) as process:
        assert len(names(tmp_path)) == 2
        process.terminate()
        assert process.wait(30) == 143
    assert names(tmp_path) == []


def test_drafts_of_a_killed_process_are_removed_by_the_next_and_living_ones_are_not(
    tmp_path: Path,
) -> None:
    dead, living = tmp_path / "dead", tmp_path / "living"
    for folder in (dead, living):
        folder.mkdir()
        (folder / ".graftcam-notes.tmp").touch()  # of somebody else
    with writer(dead) as process:
        process.kill()
        process.wait(30)
        assert len(names(dead)) == 3
    with writer(living):
        before = names(living)
        for folder in (dead, living):
            replace_file(folder / "new", b"", JobError)
        assert names(living) == sorted([*before, "new"])
    assert names(dead) == [".graftcam-notes.tmp", "new"]
