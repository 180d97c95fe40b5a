"""A folder of images: the same table whatever happens on the way to it."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from graftcam.runtime.errors import ClassError, ImageError, InputError, JobError, RenderError
from graftcam.runtime.tools.jobs import find, table
from graftcam.runtime.tools.jobs.run import Batch, local, run
from graftcam.runtime.tools.jobs.settings import Settings
from graftcam.runtime.tools.jobs.table import Row, Table
from graftcam.runtime.tools.jobs.work import Worker
from support.artifacts import SCENE

IMAGES = ["a/one.png", "a/one.jpg", "b.png", "c/d/e.PNG", "z-ä.png", "x.png", "y.png"]
BROKEN = "b/broken.jpg"
ORDER = sorted([*IMAGES, BROKEN])


@pytest.fixture
def settings(artifact: Path, tmp_path: Path) -> Settings:
    """Images of several sizes in several folders, one of them broken."""
    folder = tmp_path / "images"
    for number, name in enumerate(IMAGES):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        image = np.roll(SCENE, 9 * number, axis=1)[: 80 - number]
        done, data = cv2.imencode((folder / name).suffix, image[:, :, ::-1])
        assert done
        (folder / name).write_bytes(data.tobytes())
    (folder / BROKEN).parent.mkdir()
    (folder / BROKEN).write_bytes(b"no image")
    (folder / "notes.txt").write_text("not an image by its name")
    (folder / ".hidden.png").write_bytes(b"")
    return Settings(
        str(artifact), str(folder), str(tmp_path / "out"), {"top": 2}, {"alpha": 0.4}, batch=3
    )


def output(settings: Settings) -> dict[str, bytes]:
    """Every file of a job's output folder."""
    folder = Path(settings.output)
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def rows_of(settings: Settings) -> list[dict[str, Any]]:
    lines = output(settings)["results.jsonl"].decode("ascii").splitlines()
    return [json.loads(line) for line in lines]


def test_every_image_has_a_row_and_an_overlay_for_each_class(settings: Settings) -> None:
    steps: list[tuple[int, int]] = []
    summary = run(settings, progress=lambda done, total: steps.append((done, total)))
    assert (summary.explained, summary.failed, summary.before, summary.others) == (7, 1, 0, 1)
    assert steps == [(3, 8), (6, 8), (8, 8)]
    rows, files = rows_of(settings), output(settings)
    assert [row["path"] for row in rows] == ORDER
    failed = rows[ORDER.index(BROKEN)]
    assert failed["status"] == "failed"
    assert failed["error"].startswith("b/broken.jpg is no image that OpenCV can decode")
    whole = rows[ORDER.index("a/one.png")]
    assert (whole["width"], whole["height"], whole["error"]) == (160, 80, None)
    assert len(whole["classes"]) == 2
    assert whole["files"][0].startswith("overlays/a/one.png-")
    named = [file for row in rows for file in row["files"]]
    assert len(set(named)) == len(named) == 14
    assert set(files) == {*named, "results.jsonl", "job.json"}


def test_an_interrupted_job_ends_with_the_bytes_of_an_undisturbed_one(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = replace(settings, output=str(tmp_path / "whole"))
    run(whole)

    def stops(worker: Worker, batches: Sequence[Batch]) -> Generator[list[Row]]:
        with closing(local(worker, batches)) as done:
            yield next(done)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(settings, stops)
    assert len(rows_of(settings)) == 3
    # What a kill leaves: half a line, and the draft of an overlay.
    out = tmp_path / "out"
    with (out / "results.jsonl").open("ab") as file:
        file.write(b'{"path": "half')
    (out / "overlays" / f".graftcam-{'0' * 32}.tmp").write_bytes(b"half")
    summary = run(settings)
    assert (summary.before, summary.explained, summary.failed) == (3, 7, 1)
    assert output(settings) == output(whole)
    # And nothing is done twice.
    monkeypatch.setattr(Worker, "__call__", lambda *_: pytest.fail("explained again"))
    assert run(settings).before == 8
    assert output(settings) == output(whole)


def test_any_order_of_batches_ends_in_the_same_table(settings: Settings, tmp_path: Path) -> None:
    def backwards(worker: Worker, batches: Sequence[Batch]) -> Generator[list[Row]]:
        yield from local(worker, batches[::-1])
        yield worker(batches[0])  # a batch that came twice

    whole = replace(settings, output=str(tmp_path / "whole"))
    run(whole)
    run(settings, backwards)
    assert output(settings) == output(whole)


def test_failed_images_are_tried_again_only_with_retry(settings: Settings) -> None:
    run(settings)
    before = output(settings)
    done, data = cv2.imencode(".png", SCENE)
    assert done
    (Path(settings.images) / BROKEN).write_bytes(data.tobytes())
    assert run(settings).failed == 1
    assert output(settings) == before
    summary = run(settings, retry=True)
    assert (summary.failed, summary.explained) == (0, 8)
    assert [row["path"] for row in rows_of(settings)] == ORDER


def test_changed_images_are_counted_and_explained_again_with_retry(settings: Settings) -> None:
    run(settings)
    before = output(settings)
    name = next(path for path in ORDER if path != BROKEN)
    done, data = cv2.imencode(".png", 255 - SCENE)
    assert done
    image = Path(settings.images) / name
    image.write_bytes(data.tobytes())
    later = (Path(settings.output) / "results.jsonl").stat().st_mtime + 10
    os.utime(image, (later, later))
    assert run(settings).changed == 1
    assert output(settings) == before
    assert run(settings, retry=True).changed == 0
    assert output(settings) != before


def test_results_of_another_job_are_refused(settings: Settings) -> None:
    run(settings)
    before = output(settings)
    other = replace(settings, request={"top": 1})
    with pytest.raises(
        JobError,
        match=r'contains the results of another job \(request was {"top": 2}, is {"top": 1}\); '
        "choose another output folder, or delete this one",
    ):
        run(other)
    assert output(settings) == before


def test_a_job_that_cannot_begin_leaves_nothing(settings: Settings, tmp_path: Path) -> None:
    for change, error, message in (
        ({"request": {"classes": ["purple"]}}, ClassError, "unknown label 'purple'"),
        ({"drawing": {"colormap": "jett"}}, RenderError, "unknown colormap 'jett'"),
        ({"images": str(tmp_path / "out")}, ImageError, "no folder .*out; give a folder of images"),
    ):
        with pytest.raises(error, match=message):
            run(replace(settings, **change))
        assert not (tmp_path / "out").exists()


def test_its_own_output_is_no_input(settings: Settings) -> None:
    inside = replace(settings, output=f"{settings.images}/out")
    run(inside)
    assert run(inside).explained == len(IMAGES)
    assert [row["path"] for row in rows_of(inside)] == ORDER


def test_an_unreadable_folder_is_one_clear_line(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    scandir = os.scandir

    def refuse(path: str) -> Any:
        if path.endswith("c"):
            raise PermissionError(13, "Permission denied", path)
        return scandir(path)

    # Not by its mode, which root may overlook.
    monkeypatch.setattr(find.os, "scandir", refuse)
    with pytest.raises(ImageError, match=r"cannot read .*/c: Permission denied; make it readable"):
        run(settings)


def row(path: str, status: Any = "ok") -> Row:
    return Row(
        path=path, status=status, error=None, width=1, height=1, layer="l", method="gradcam",
        classes=[], files=[],
    )  # fmt: skip


def test_half_a_line_is_cut_off_before_anything_follows_it(tmp_path: Path) -> None:
    with Table(tmp_path / "out", {}) as rows:
        rows.add([row("a")])
        before = rows.path.read_bytes()
    with (tmp_path / "out" / "results.jsonl").open("ab") as file:
        file.write(b'{"path": "half')
    with Table(tmp_path / "out", {}) as rows:
        assert rows.path.read_bytes() == before
        rows.add([row("b")])
        assert [json.loads(line)["path"] for line in rows.path.open()] == ["a", "b"]


def test_a_full_disk_takes_the_unfinished_rows_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with Table(tmp_path / "out", {}) as rows:
        rows.add([row("a")])
        before = rows.path.read_bytes()

        def full(_: int) -> None:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(table.os, "fsync", full)
            with pytest.raises(JobError, match=r"No space left on device; run the same command"):
                rows.add([row("b")])
        assert rows.path.read_bytes() == before
        assert list(rows.recorded) == ["a"]
        rows.add([row("b")])
    with Table(tmp_path / "out", {}) as rows:
        assert list(rows.recorded) == ["a", "b"]


def test_an_overlay_that_cannot_be_written_stops_the_job_and_is_no_failed_image(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graftcam.runtime import writing

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(writing.os, "replace", full)
        with pytest.raises((RenderError, JobError), match="No space left on device"):
            run(settings)
    assert run(settings).failed == 1


DAMAGES: list[Callable[[bytes], bytes]] = [
    lambda _: b"[1]\n",
    lambda _: b"\xff\n",
    lambda _: b"[" * 50_000 + b"\n",
    lambda line: line.replace(b'"b"', b"5"),
    lambda line: line.replace(b'"ok"', b'"fine"'),
    lambda line: line.replace(b'"height":1', b'"height":"1"'),
    lambda line: line.replace(b'"height":1', b'"height":NaN'),
    lambda line: line.replace(b'"height":1,', b""),
    lambda line: line.replace(b'"height":1', b'"height":1,"colour":2'),
    lambda line: line.replace(b'"classes":[]', b'"classes":[3]'),
    lambda line: line[:20] + b"\n" + line[20:],
]


def test_a_damaged_table_is_refused_by_its_line(tmp_path: Path) -> None:
    with Table(tmp_path / "out", {}) as rows:
        rows.add([row("a")])
    path, first = rows.path, rows.path.read_bytes()
    second = first.replace(b'"a"', b'"b"')
    for change in DAMAGES:
        path.write_bytes(first + change(second))
        with pytest.raises(JobError, match=r"results\.jsonl, line 2: not a job's row; delete"):
            Table(tmp_path / "out", {})
    path.write_bytes(first + second)
    with Table(tmp_path / "out", {}) as rows:
        assert list(rows.recorded) == ["a", "b"]
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "results.jsonl").write_text("{}\n")
    with pytest.raises(JobError, match="not a job's table; choose another output folder"):
        Table(foreign, {})


def test_two_jobs_do_not_write_to_one_folder(tmp_path: Path) -> None:
    pytest.importorskip("fcntl")
    with (
        Table(tmp_path, {}),
        pytest.raises(JobError, match=r"another job is writing to .*; wait until it ends"),
    ):
        Table(tmp_path, {})
    Table(tmp_path, {}).close()


def test_parquet_holds_the_same_rows(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    from graftcam.runtime.tools.jobs import parquet

    summary = run(settings)
    arrow = pytest.importorskip("pyarrow.parquet")
    path = parquet.write_parquet(summary.table)
    assert arrow.read_table(path).to_pylist() == rows_of(settings)
    monkeypatch.setitem(__import__("sys").modules, "pyarrow", None)
    with pytest.raises(JobError, match=r"pyarrow is missing.*pip install pyarrow"):
        parquet.need_pyarrow()


def test_what_the_artifact_lacks_is_said_once_before_the_first_image(settings: Settings) -> None:
    lacking = replace(settings, request={"method": "ablationcam"})
    with pytest.raises(InputError, match="exported without the head"):
        run(lacking)
    assert not Path(settings.output).exists()
