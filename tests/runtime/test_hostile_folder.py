"""One bad file never stops a folder: its row says why, and the others are explained."""

from __future__ import annotations

import errno
import json
import os
import shutil
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from graftcam.runtime import Explainer, Explanation, Failure
from graftcam.runtime.errors import RenderError, RunError, SessionError
from graftcam.runtime.explain import stream
from graftcam.runtime.inputs.names import file_name
from graftcam.runtime.tools.jobs import work
from graftcam.runtime.tools.jobs.run import run
from graftcam.runtime.tools.jobs.settings import Settings
from support.artifacts import SCENE, spec, write_artifact
from support.paths import DATA


@pytest.fixture
def settings(artifact: Path, tmp_path: Path) -> Settings:
    """A folder of two images, and a place for the results."""
    folder = tmp_path / "images"
    folder.mkdir()
    for name in ("a.png", "z.png"):
        cv2.imwrite(str(folder / name), SCENE[:, :, ::-1])
    return Settings(str(artifact), str(folder), str(tmp_path / "out"), {"top": 1}, batch=8)


def rows_of(settings: Settings) -> dict[str, dict[str, Any]]:
    data = (Path(settings.output) / "results.jsonl").read_bytes()
    rows = [json.loads(line) for line in data.splitlines()]
    return {row["path"]: row for row in rows}


def copy(settings: Settings, *names: str | bytes) -> None:
    for name in names:
        folder = os.fsencode(settings.images) if isinstance(name, bytes) else settings.images
        shutil.copyfile(Path(settings.images) / "a.png", os.path.join(folder, name))  # type: ignore[arg-type] # noqa: PTH118


def test_pipes_bombs_and_links_to_nowhere_are_rows(settings: Settings) -> None:
    folder = Path(settings.images)
    shutil.copy(DATA / "bomb.webp", folder / "m.webp")
    os.mkfifo(folder / "n.png")
    (folder / "o.png").symlink_to(folder / "o.png")
    (folder / "p.png").symlink_to("/dev/zero")
    (folder / "q.png").symlink_to("nothing.png")
    summary = run(settings)
    assert (summary.explained, summary.failed) == (2, 5)
    errors = {name: row["error"] for name, row in rows_of(settings).items() if row["error"]}
    assert list(errors) == ["m.webp", "n.png", "o.png", "p.png", "q.png"]
    assert "m.webp has 16000 x 16000 pixels, more than 100,000,000; shrink it" in errors["m.webp"]
    assert "n.png: it is a named pipe" in errors["n.png"]
    assert "Too many levels of symbolic links" in errors["o.png"]
    assert "p.png: it is a device" in errors["p.png"]
    assert "q.png: No such file" in errors["q.png"]


def test_names_too_long_for_a_file_are_shortened_and_told_apart(settings: Settings) -> None:
    long = ["n" * 246 + ".png", "n" * 245 + "m.png", "ü" * 123 + ".png"]
    copy(settings, *long)
    assert run(settings).failed == 0
    rows = rows_of(settings)
    files = [rows[name]["files"][0] for name in long]
    assert len(set(files)) == 3
    for name, file in zip(long, files, strict=True):
        path = Path(settings.output) / file
        assert path.is_file()
        assert len(os.fsencode(path.name)) <= 255
        assert path.name.startswith(name[:100])
        assert path.suffix == ".png"


def test_a_name_that_fits_is_left_alone() -> None:
    assert file_name("a" * 251, ".png") == "a" * 251 + ".png"
    shortened = file_name("a" * 252, ".png")
    assert len(shortened) == 255
    assert shortened != file_name("a" * 252 + "b", ".png")
    assert len(file_name("\ud800" * 252, ".png").encode()) <= 255


def test_names_with_line_breaks_and_names_that_are_no_utf8(settings: Settings) -> None:
    try:
        copy(settings, "b\nError: forged.png", b"c\xff.png", "ca.png", "d\x1b[2J.png")
    except OSError:
        pytest.skip("the file system takes no such names")
    assert run(settings).explained == 6
    text = (Path(settings.output) / "results.jsonl").read_text("utf-8")
    assert len(text.splitlines()) == 6
    text.encode("ascii")
    rows = rows_of(settings)
    assert list(rows) == sorted(
        ["a.png", "b\nError: forged.png", "c\\udcff.png", "ca.png", "d\x1b[2J.png", "z.png"]
    )
    json.dumps(rows, ensure_ascii=False).encode()
    # And nothing is done twice.
    assert run(settings).before == 6


def test_want_of_memory_fails_one_image(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    copy(settings, "m.png")
    read = stream.load

    def load(plan: Any, given: Any, name: str) -> Any:
        found = read(plan, given, name)
        object.__setattr__(found, "heavy", name == "m.png")
        return found

    explain = stream.explain_examples

    def hungry(plan: Any, examples: Any) -> Any:
        if any(one.heavy for one in examples):
            np.empty(1 << 60, np.uint8)  # numpy's own error of memory
        return explain(plan, examples)

    monkeypatch.setattr("graftcam.runtime.explain.steps.load", load)
    monkeypatch.setattr(stream, "explain_examples", hungry)
    summary = run(settings)
    assert (summary.explained, summary.failed) == (2, 1)
    assert rows_of(settings)["m.png"]["error"].startswith("it needs more memory than there is: ")


def test_a_drawing_that_fails_is_a_row_and_a_full_disk_is_none(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    for error in (OSError(errno.ENAMETOOLONG, "File name too long"), MemoryError("800 MB")):

        def fails(found: Explanation, *_: Any, error: Exception = error, **__: Any) -> Any:
            if found.name != "a.png":
                return [Path(settings.output) / "overlays" / "x.png"]
            if isinstance(error, MemoryError):
                raise error
            raise RenderError("cannot write x") from error

        with monkeypatch.context() as patch:
            patch.setattr(work, "_saved", fails)
            assert run(settings, retry=True).failed == 1
        assert rows_of(settings)["a.png"]["error"]
    full = OSError(errno.ENOSPC, "No space left on device")

    def stops(*_: Any, **__: Any) -> Any:
        raise RenderError("cannot write x: No space left") from full

    with monkeypatch.context() as patch:
        patch.setattr(work, "_saved", stops)
        with pytest.raises(RenderError, match="No space left"):
            run(settings, retry=True)


def test_what_the_engine_lacks_memory_for_is_told_from_a_broken_engine(
    explainer: Explainer, monkeypatch: pytest.MonkeyPatch
) -> None:
    session = explainer._session  # pyright: ignore[reportPrivateUsage]
    message = "Non-zero status code. Failed to allocate memory for requested buffer of size 9"

    def fails(*_: Any) -> Any:
        raise RuntimeError(message)

    monkeypatch.setattr(session, "_run", fails)
    with pytest.raises(RunError, match="Failed to allocate memory"):
        explainer.explain(SCENE)
    (found,) = explainer.explain_many([SCENE])
    assert isinstance(found, Failure)
    message = "the device is lost"
    monkeypatch.setattr(session, "provider", "CUDAExecutionProvider")
    with pytest.raises(SessionError, match="the device is lost"):
        list(explainer.explain_many([SCENE]))


def test_what_the_graph_cannot_run_on_is_a_row(tmp_path: Path) -> None:
    model = write_artifact(tmp_path / "m.onnx", spec(preprocess=None))
    (tmp_path / "arrays").mkdir()
    for name, side in (("a", 32), ("b", 4), ("c", 32)):  # patches of 8 x 8 do not fit into 4 x 4
        np.save(tmp_path / "arrays" / f"{name}.npy", np.ones((3, side, side), np.float32))
    settings = Settings(str(model), str(tmp_path / "arrays"), str(tmp_path / "out"), batch=8)
    summary = run(settings)
    assert (summary.explained, summary.failed) == (2, 1)
    assert rows_of(settings)["b.npy"]["error"].startswith("m.onnx: the run failed: ")


def test_an_image_too_large_is_tried_again_with_more_pixels(
    settings: Settings, artifact: Path
) -> None:
    small = Settings(
        str(artifact), settings.images, settings.output, settings.request, max_pixels=100
    )
    assert run(small).failed == 2
    assert "more than 100; shrink it, or raise max_pixels" in rows_of(small)["a.png"]["error"]
    assert run(Settings(**{**vars(small), "max_pixels": 10**6}), retry=True).failed == 0
