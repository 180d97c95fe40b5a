"""A folder explained on Ray: the same table as here, whoever dies on the way."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from collections.abc import Generator
from functools import partial
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

from graftcam.runtime.errors import JobError
from graftcam.runtime.tools.evaluate.evaluate import run_evaluation
from graftcam.runtime.tools.evaluate.evaluator import Evaluator
from graftcam.runtime.tools.evaluate.settings import EvaluationSettings
from graftcam.runtime.tools.jobs.cluster import on_ray
from graftcam.runtime.tools.jobs.run import local, run
from graftcam.runtime.tools.jobs.settings import Settings
from support import cli
from support.artifacts import SCENE
from support.ray_cluster import local_cluster
from support.small_detector import export_detector, write_scene

ray: Any = pytest.importorskip("ray")
IMAGES = 24


@pytest.fixture(scope="module", autouse=True)
def cluster() -> Generator[None]:
    """One cluster for all tests, which begin on it in a second instead of ten."""
    with local_cluster(ray, 2):
        ray.data.DataContext.get_current().enable_progress_bars = False
        yield


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Images of several sizes in two folders, and a file that is none."""
    folder = tmp_path_factory.mktemp("images")
    (folder / "more").mkdir()
    for i in range(IMAGES):
        place = folder if i % 3 else folder / "more"
        cv2.imwrite(str(place / f"{i:02}.png"), np.roll(SCENE[: 60 + i], 7 * i, axis=1))
    (folder / "broken.png").write_text("no image")
    return folder


def settings(artifact: Path, images: Path, output: Path, **changes: Any) -> Settings:
    plain = {"request": {"top": 2}, "batch": 4, "threads": 1, "provider": "cpu"}
    return Settings(str(artifact), str(images), str(output), **{**plain, **changes})


def results(folder: Path) -> dict[str, bytes]:
    """Every file of a job by name, but its own description of where it works."""
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*") if path.is_file()
    }  # fmt: skip


@pytest.fixture(scope="module")
def here(
    artifact: Path, images: Path, tmp_path_factory: pytest.TempPathFactory
) -> dict[str, bytes]:
    """What this process alone makes of the folder."""
    folder = tmp_path_factory.mktemp("here")
    summary = run(settings(artifact, images, folder), local)
    assert (summary.explained, summary.failed) == (IMAGES, 1)
    return results(folder)


@pytest.mark.parametrize("actors", [1, 2])
def test_the_same_bytes_as_here(
    artifact: Path, images: Path, tmp_path: Path, here: dict[str, bytes], actors: int
) -> None:
    summary = run(settings(artifact, images, tmp_path / "out"), on_ray(actors=actors))
    assert (summary.explained, summary.failed) == (IMAGES, 1)
    assert results(tmp_path / "out") == here


def test_boxes_are_the_same_as_here(tmp_path: Path) -> None:
    detector, folder = export_detector(tmp_path / "squares.onnx"), tmp_path / "images"
    folder.mkdir()
    for number in range(6):
        squares = [("red", 8 * number, 16, 16)] if number % 2 else []
        write_scene(folder / f"{number}.png", *squares)
    of_boxes = {"request": {"conf": 0.1}, "batch": 2}
    run(settings(detector, folder, tmp_path / "here", **of_boxes), local)
    run(settings(detector, folder, tmp_path / "there", **of_boxes), on_ray(actors=2))
    lines = (tmp_path / "here" / "results.jsonl").read_text().splitlines()
    counts = [len(json.loads(line)["boxes"]) for line in lines]
    assert 0 in counts
    assert max(counts) > 0
    assert results(tmp_path / "there") == results(tmp_path / "here")


def test_an_evaluation_is_the_same_as_here(artifact: Path, images: Path, tmp_path: Path) -> None:
    def scored(name: str) -> Evaluator:
        more: Any = {
            "measures": ("deletion", "randomisation"),
            "tuning": {"steps": 3},
            "provider": "cpu",
            "threads": 1,
        }
        where = (str(artifact), str(images), str(tmp_path / name))
        return Evaluator(EvaluationSettings(*where, **more))

    run_evaluation(scored("here"), local)
    found, done = run_evaluation(scored("there"), on_ray(actors=2))
    assert (done.explained, done.failed) == (IMAGES, 1)
    assert found.summary.photographs == IMAGES
    assert results(tmp_path / "there") == results(tmp_path / "here")


def working() -> list[int]:
    """Processes of the actors of this process's cluster, by what they call themselves."""
    parents: dict[int, int] = {}
    named: list[int] = []
    for entry in Path("/proc").iterdir():
        try:
            parents[int(entry.name)] = int(
                (entry / "stat").read_text().rpartition(")")[2].split()[1]
            )
            if b"ray::" in (words := (entry / "cmdline").read_bytes()) and b"MapWorker" in words:
                named.append(int(entry.name))
        except (ValueError, OSError):  # no process, or one that is gone
            continue
    return [pid for pid in named if os.getpid() in _ancestors(pid, parents)]


def _ancestors(pid: int, parents: dict[int, int]) -> Generator[int]:
    while pid := parents.get(pid, 0):
        yield pid


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="looks for processes in /proc")
def test_a_killed_actor_loses_nothing(
    artifact: Path, images: Path, tmp_path: Path, here: dict[str, bytes]
) -> None:
    killed: list[int] = []

    def kill_once(done: int, _: int) -> None:
        if not killed and done < IMAGES:
            killed.extend(working()[:1])
            for pid in killed:
                os.kill(pid, signal.SIGKILL)

    job = settings(artifact, images, tmp_path / "out", batch=1)
    plain = settings(artifact, images, tmp_path / "plain", batch=1)
    run(plain, local)
    run(job, on_ray(actors=2), progress=kill_once)
    assert len(killed) == 1
    assert results(tmp_path / "out") == results(tmp_path / "plain")


def test_a_job_begun_here_ends_there(
    artifact: Path, images: Path, tmp_path: Path, here: dict[str, bytes]
) -> None:
    def half(worker: Any, batches: Any) -> Any:
        yield from local(worker, batches[:3])
        raise KeyboardInterrupt

    job = settings(artifact, images, tmp_path / "out")
    with pytest.raises(KeyboardInterrupt):
        run(job, half)
    summary = run(job, on_ray(actors=2))
    assert summary.before == 12
    assert results(tmp_path / "out") == here


def test_trouble_of_an_actor_is_one_line(artifact: Path, images: Path, tmp_path: Path) -> None:
    moved = shutil.copy(artifact, tmp_path / "moved.onnx")

    def engine(worker: Any, batches: Any) -> Any:
        Path(moved).unlink()
        yield from on_ray(actors=1)(worker, batches)

    with pytest.raises(JobError, match=r"moved.onnx: no such file") as caught:
        run(settings(Path(moved), images, tmp_path / "out"), engine)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()


def test_more_actors_than_the_cluster_holds_are_refused(
    artifact: Path, images: Path, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    for engine, threads in ((on_ray(actors=3), 1), (on_ray(), 3)):
        with pytest.raises(JobError, match="give fewer --actors or --threads"):
            run(settings(artifact, images, out, threads=threads), engine)


@pytest.mark.parametrize("address", ["auto", "127.0.0.1:1", "ray://127.0.0.1:1"])
def test_a_missing_cluster_is_reported_at_once(
    artifact: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, address: str
) -> None:
    monkeypatch.setattr(ray, "is_initialized", lambda: False)
    monkeypatch.setattr(ray, "init", lambda **_: (_ for _ in ()).throw(ConnectionError("None. x")))
    with pytest.raises(JobError, match=f"^no Ray cluster at {address}: .*; start one with") as said:
        run(settings(artifact, images, tmp_path / "out"), on_ray(address))
    reason = "None;" if address == "auto" else "refused"
    assert reason in str(said.value)


def test_without_ray_the_error_names_the_command_to_install_it(
    artifact: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "ray.data", None)
    with pytest.raises(JobError, match=r'install it with `pip install "graftcam\[ray\]"`'):
        run(settings(artifact, images, tmp_path / "out"), on_ray())


call = partial(cli.call, "explain")


def test_the_command_line(artifact: Path, images: Path, tmp_path: Path) -> None:
    for engine in ("local", "ray"):
        result = call(artifact, images, "-o", tmp_path / engine, "--engine", engine,
                      "--provider", "cpu")  # fmt: skip
        assert result.exit_code == 1, result.output  # broken.png
    assert results(tmp_path / "ray") == results(tmp_path / "local")
    assert call(artifact, images, "-o", tmp_path / "a", "--actors", 2).exit_code == 2
