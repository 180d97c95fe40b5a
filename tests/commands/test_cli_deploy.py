"""The command line where models run: folders, the optimised form, raw pixels."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest

from graftcam.runtime import Explainer
from support.artifacts import SCENE
from support.cli import call, fail, refuse, succeed
from support.images import write_images


@pytest.fixture
def images(tmp_path: Path) -> Path:
    shifted = [np.roll(SCENE, 9 * number, axis=1) for number in range(5)]
    return write_images(tmp_path / "images", shifted)


def test_a_folder_is_explained_into_a_table_and_goes_on_where_it_stopped(
    artifact: Path, images: Path, tmp_path: Path
) -> None:
    command = ["explain", artifact, images, "-o", tmp_path / "out", "--batch", "2", "--class",
               "green", "--threads", "1"]  # fmt: skip
    result = succeed(*command)
    table = tmp_path / "out" / "results.jsonl"
    assert result.stdout == f"explained 5 -> {table}\n"
    assert result.stderr == "ran on CPUExecutionProvider\n"
    rows = [json.loads(line) for line in table.read_text().splitlines()]
    assert [row["path"] for row in rows] == [f"{number}.png" for number in range(5)]
    assert {row["classes"][0]["label"] for row in rows} == {"green"}
    assert all((tmp_path / "out" / file).is_file() for row in rows for file in row["files"])
    assert "5 of these in an earlier run" in call(*command).stdout
    summary = json.loads(call(*command, "--json").stdout)
    assert summary["before"] == summary["explained"] == 5


def test_a_failing_image_gives_exit_code_1_and_the_rest_is_there(
    artifact: Path, images: Path, tmp_path: Path
) -> None:
    (images / "2.png").write_bytes(b"no image")
    (images / "notes.txt").write_text("")
    command = ["explain", artifact, images, "-o", tmp_path / "out"]
    result = call(*command)
    assert result.exit_code == 1
    assert "explained 4, failed 1 (the table says why; --retry tries again)" in result.stdout
    assert "skipped 1 files whose names are not those of images" in result.stdout
    fail(*command)
    cv2.imwrite(str(images / "2.png"), SCENE)
    succeed(*command, "--retry")


def test_another_question_does_not_mix_with_the_results_that_are_there(
    artifact: Path, images: Path, tmp_path: Path
) -> None:
    command = ["explain", artifact, images, "-o", tmp_path / "out"]
    succeed(*command)
    assert "contains the results of another job" in refuse(*command, "--top", "2")


def test_a_folder_goes_alone(artifact: Path, images: Path, tmp_path: Path) -> None:
    said = fail("explain", artifact, images, "second.png", "-o", tmp_path / "out", code=2)
    assert "a folder must be the only one of the IMAGES" in said


def test_an_image_has_no_options_of_a_folder(artifact: Path, tmp_path: Path) -> None:
    said = fail("explain", artifact, "a.png", "-o", tmp_path / "out", "--retry", code=2)
    assert "Error: only a folder of images takes --retry" in said


def test_an_empty_folder_is_refused(artifact: Path, tmp_path: Path) -> None:
    said = fail("explain", artifact, tmp_path, "-o", tmp_path / "out")
    assert "contains no images that the model takes (0 other files)" in said
    assert list(tmp_path.iterdir()) == []


def test_parquet_is_written_beside_the_table(
    artifact: Path, images: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    command = ["explain", artifact, images, "-o", tmp_path / "out", "--parquet"]
    with monkeypatch.context() as patch:
        patch.setitem(sys.modules, "pyarrow", None)
        assert "pyarrow is missing" in call(*command).stderr
        assert not (tmp_path / "out").exists()
    pytest.importorskip("pyarrow")
    succeed(*command)
    assert (tmp_path / "out" / "results.parquet").is_file()


STALLING = """
import signal, sys, time
# A shell's background job ignores SIGINT, and so does all that it starts.
signal.signal(signal.SIGINT, signal.default_int_handler)
from graftcam.runtime.tools.jobs.work import Worker
work, batches = Worker.__call__, []
def stall(self, paths):
    batches.append(paths)
    if len(batches) > 3:
        sys.stdout.write("stalls\\n")  # at once: two threads may stall
        sys.stdout.flush()
        time.sleep(2)
    return work(self, paths)
Worker.__call__ = stall
from graftcam.cli import main
main(sys.argv[1:])
"""


@pytest.mark.skipif(os.name == "nt", reason="signals")
@pytest.mark.parametrize("kind", [signal.SIGINT, signal.SIGKILL])
def test_an_interruption_loses_nothing(
    artifact: Path, images: Path, tmp_path: Path, kind: signal.Signals
) -> None:
    command = ["explain", str(artifact), str(images), "-o", str(tmp_path / "out"), "--batch",
               "1", "--threads", "1"]  # fmt: skip
    process = subprocess.Popen(
        [sys.executable, "-c", STALLING, *command],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    assert process.stdout.readline() == "stalls\n"
    process.send_signal(kind)
    _, stderr = process.communicate(timeout=60)
    if kind == signal.SIGINT:
        assert process.returncode == 130
        assert stderr.splitlines() == ["Interrupted; run the same command again to go on"]
    assert succeed(*command).stdout.startswith("explained 5")
    succeed(*command[:3], "-o", tmp_path / "whole", *command[5:])
    table, expected = ((tmp_path / name / "results.jsonl") for name in ("out", "whole"))
    assert table.read_bytes() == expected.read_bytes()
    assert not list((tmp_path / "out").rglob("*.tmp"))


def test_optimize_saves_the_form_for_this_machine(artifact: Path, tmp_path: Path) -> None:
    path = tmp_path / "here.onnx"
    result = succeed("optimize", artifact, "-o", path, "--provider", "cpu")
    assert "for ONNX Runtime " in result.stdout
    assert "CPUExecutionProvider" in result.stdout
    assert Explainer(path).spec == Explainer(artifact).spec
    assert "optimised already" in fail("optimize", path, "-o", tmp_path / "again.onnx")
    result = succeed("optimize", artifact, "-o", path, "--provider", "cpu", "--json")
    summary = json.loads(result.stdout)
    assert summary["target"]["provider"] == "CPUExecutionProvider"
    assert summary["size"] == path.stat().st_size


def test_export_can_put_the_transform_into_the_graph(tmp_path: Path) -> None:
    path = tmp_path / "digits.onnx"
    command = ["export", "graftcam.demo.model:build", "--shape", "3,96,96", "-o", path,
               "--extra", "embed_preprocess", "--verify", "off"]  # fmt: skip
    assert "embed_preprocess needs a training transform" in fail(*command)
    succeed(*command, "--mean", "0.5,0.5,0.5", "--std", "0.25,0.25,0.25")
    assert "feed uint8 RGB [N, height, width, 3]" in call("inspect", path).stdout


def test_cuda_that_is_not_there_is_one_clear_line(artifact: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "a.png"), SCENE)
    said = fail("explain", artifact, tmp_path / "a.png", "-o", tmp_path, "--provider", "cuda")
    assert "provider 'cuda' is not available; this ONNX Runtime offers" in said
    assert 'pip install "graftcam[gpu]"' in said


def test_a_broken_image_is_one_line_on_a_terminal(artifact: Path, tmp_path: Path) -> None:
    """OpenCV and libpng print by themselves: only a process of its own shows what a user sees."""
    done, data = cv2.imencode(".png", SCENE)
    assert done
    for name, content in (("cut.png", data.tobytes()[:-30]), ("cut.bmp", b"BM" + bytes(60))):
        (tmp_path / name).write_bytes(content)
        result = subprocess.run(
            [sys.executable, "-m", "graftcam.cli", "explain", str(artifact), str(tmp_path / name),
             "-o", str(tmp_path / "out")],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        assert result.returncode == 1
        assert len(result.stderr.splitlines()) == 1, result.stderr
        assert result.stderr.startswith("Error: ")
