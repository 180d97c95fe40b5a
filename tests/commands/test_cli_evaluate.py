"""`graftcam evaluate`: tables, pages, resumption and refusals."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest

import graftcam.runtime as runtime
from graftcam.runtime.errors import ImageError, InputError
from support.artifacts import spec, write_artifact
from support.box_artifacts import write_detector
from support.cli import call, fail, refuse, succeed

COUNT = 8
FEW = ["--setting", "steps=4"]


def square(number: int) -> tuple[int, int]:
    """Top and left of the red square on a photograph of 40 x 40."""
    return 4 + 8 * (number % 4), 4 + 8 * (number // 4)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Photographs of a red square each, their boxes, and the patch model."""
    monkeypatch.chdir(tmp_path)
    write_artifact(tmp_path / "model.onnx")
    (tmp_path / "photos").mkdir()
    generator, drawn = np.random.default_rng(0), []
    for number in range(COUNT):
        image = generator.integers(0, 40, (40, 40, 3), np.uint8)
        top, left = square(number)
        image[top : top + 8, left : left + 8] = (0, 0, 255)
        cv2.imwrite(f"photos/{number}.png", image)
        drawn.append({"image_id": number, "category_id": 1, "bbox": [left, top, 8, 8]})
    images = [{"id": n, "file_name": f"{n}.png", "width": 40, "height": 40} for n in range(COUNT)]
    categories = [{"id": 1, "name": "Red"}, {"id": 2, "name": "zebra"}]
    data = {"images": images, "categories": categories, "annotations": drawn}
    (tmp_path / "boxes.json").write_text(json.dumps(data))
    return tmp_path


def rows(folder: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (folder / "results.jsonl").read_text().splitlines()]


def test_the_table_has_each_method_and_the_rows_to_beat(folder: Path) -> None:
    done = succeed("evaluate", "model.onnx", "photos", "-o", "out", "--method", "gradcam",
                   "--method", "layercam", "--measure", "all", "--truth", "boxes.json",
                   "--pick", *FEW)  # fmt: skip
    for word in (
        "gradcam at features.0",
        "layercam at",
        "random",
        "centre",
        "sobel",
        "intensity",
        "insertion (higher)",
        "pointing (higher)",
        "randomisation (lower)",
        "pick: ",
    ):
        assert word in done.stdout
    found = rows(folder / "out")
    assert [row["path"] for row in found] == [f"{n}.png" for n in range(COUNT)]
    maps = found[0]["items"][0]["maps"]
    assert [(one["method"], one["layer"]) for one in maps][:3] == [
        ("gradcam", "features.0"), ("layercam", "features.0"), ("random", None)
    ]  # fmt: skip
    # The square is the evidence, and all of it.
    assert maps[0]["scores"]["pointing"] == 1
    assert maps[0]["scores"]["energy"] > 3 * 64 / 1600
    assert len(maps[0]["curves"]["deletion"]) == 5
    assert found[0]["items"][0]["label"] == "red"
    summary = json.loads(Path("out/summary.json").read_text())
    assert summary["photographs"] == COUNT
    gradcam, rival = (summary["standings"]["pointing"][place] for place in (0, 2))
    assert gradcam["mean"] == 1
    assert gradcam["low"] <= gradcam["mean"] <= gradcam["high"]
    assert rival["mean"] < 1
    assert "random" not in gradcam["below"]
    # With one colour a patch, masks of squares agree with Grad-CAM: neither is surely worse.
    assert summary["pick"]["method"] in ("gradcam", "layercam")
    page = Path("out/index.html").read_text()
    assert page.count("<svg") >= 3
    assert page.count("data:image/jpeg") == 6
    assert "<script" not in page


def test_json_for_machines(folder: Path) -> None:
    done = succeed("evaluate", "model.onnx", "photos", "-o", "out", "--json", *FEW,
                   "--measure", "deletion")  # fmt: skip
    found = json.loads(done.stdout)
    assert list(found["standings"]) == ["deletion"]
    assert found["failures"] == {}
    assert [Path(file).name for file in found["files"]] == [
        "results.jsonl", "summary.json", "index.html"
    ]  # fmt: skip


def test_an_interrupted_evaluation_ends_with_the_same_bytes(folder: Path) -> None:
    arguments = ("evaluate", "model.onnx", "photos", "-o", "out", "--measure", "insertion", *FEW)
    succeed(*arguments)
    table = Path("out/results.jsonl")
    whole = table.read_bytes()
    lines = whole.splitlines(keepends=True)
    table.write_bytes(b"".join(lines[:3]) + lines[3][:20])
    succeed(*arguments)
    assert table.read_bytes() == whole
    assert "another job" in refuse(*arguments, "--method", "hirescam")


def test_a_photograph_that_cannot_be_scored_is_a_row(folder: Path) -> None:
    Path("photos/bad.jpg").write_bytes(b"no image")
    said = fail("evaluate", "model.onnx", "photos", "-o", "out", "--measure", "deletion", *FEW)
    assert "failed: bad.jpg: " in said
    assert str(folder) not in said
    found = {row["path"]: row["status"] for row in rows(folder / "out")}
    assert found.pop("bad.jpg") == "failed"
    assert {*found.values()} == {"ok"}


def test_one_photograph_has_no_interval(folder: Path) -> None:
    done = succeed("evaluate", "model.onnx", "photos/1.png", "-o", "out", *FEW)
    assert "one photograph: no interval" in done.stdout
    assert "[" not in done.stdout.splitlines()[1]
    done = succeed("evaluate", "model.onnx", "photos/1.png", "photos/2.png", "-o", "two", *FEW)
    assert "2 photographs: too few for a test" in done.stdout


def test_demands(folder: Path) -> None:
    arguments = ("evaluate", "model.onnx", "photos", "-o", "out", "--measure", "deletion",
                 "--measure", "insertion", *FEW)  # fmt: skip
    succeed(*arguments, "--at-least", "deletion=0.9", "--at-least", "insertion=0.1")
    said = fail(*arguments, "--at-least", "deletion=0.01")
    assert "deletion of gradcam at features.0 is 0." in said
    assert "above 0.01" in said
    assert "--measure road" in refuse(*arguments, "--at-least", "road=0")
    assert "did you mean 'deletion'" in refuse(*arguments, "--at-least", "deletio=0")
    assert call(*arguments, "--at-least", "deletion=much").exit_code == 2


def test_classes_come_from_what_is_drawn(folder: Path) -> None:
    data = json.loads(Path("boxes.json").read_text())
    data["annotations"] = data["annotations"][:2]
    data["annotations"].append({"image_id": 2, "category_id": 2, "bbox": [1, 1, 3, 3]})
    Path("boxes.json").write_text(json.dumps(data))
    said = fail("evaluate", "model.onnx", "photos", "-o", "out", "--truth", "boxes.json",
                "--measure", "pointing")  # fmt: skip
    assert "nothing is drawn on 5.png" in said
    assert "zebra" in said
    found = {row["path"]: row["status"] for row in rows(folder / "out")}
    assert [name for name, status in found.items() if status == "ok"] == ["0.png", "1.png"]
    # Chosen classes are scored everywhere; places only where they are drawn.
    succeed("evaluate", "model.onnx", "photos", "-o", "green", "--truth", "boxes.json",
            "--measure", "pointing", "--measure", "sparseness", "--class", "green")  # fmt: skip
    scores = rows(folder / "green")[0]["items"][0]["maps"][0]["scores"]
    assert scores["pointing"] is None
    assert scores["sparseness"] is not None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--measure", "pointing"], "--truth"),
        (["--measure", "insert"], "did you mean 'insertion'"),
        (["--method", "gradcan"], "did you mean 'gradcam'"),
        (["--method", "ablationcam"], "export it with"),
        (["--layer", "features.1"], "features.0"),
        (["--class", "zebra"], "zebra"),
        (["--truth", "none.json"], "none.json"),
        (["--setting", "steps=1"], "steps"),
        (["--setting", "step=4"], "steps"),
        (["--option", "samples=3"], "samples"),
        (["--truth", "boxes.json", "--measure", "weighting"], "masks"),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_written(
    folder: Path, options: list[str], message: str
) -> None:
    assert message in refuse("evaluate", "model.onnx", "photos", "-o", "out", *options)
    assert not Path("out").exists()


def test_models_without_classes_are_refused(folder: Path) -> None:
    write_detector(folder / "cells.onnx")
    said = refuse("evaluate", "cells.onnx", "photos", "-o", "out")
    assert "a detector's boxes" in said
    write_artifact(folder / "bare.onnx", spec(preprocess=None))
    assert "preprocess" in refuse("evaluate", "bare.onnx", "photos", "-o", "out")
    assert call("evaluate", "model.onnx", "photos").exit_code == 2
    assert "no file or folder" in refuse("evaluate", "model.onnx", "nowhere", "-o", "out")


def test_parquet_has_a_row_a_map(folder: Path) -> None:
    parquet: Any = pytest.importorskip("pyarrow.parquet")
    succeed("evaluate", "model.onnx", "photos", "-o", "out", "--parquet", "--measure", "road", *FEW)
    found = parquet.read_table("out/results.parquet").to_pylist()
    assert len(found) == COUNT * 5
    assert found[0]["road"] is not None
    assert found[0]["deletion"] is None


def test_python_gives_the_same(folder: Path) -> None:
    succeed("evaluate", "model.onnx", "photos", "-o", "out", "--measure", "deletion", *FEW)
    found = runtime.evaluate(
        "model.onnx", "photos", measures=["deletion"], tuning={"steps": 4}, threads=None
    )
    assert list(found.rows) == rows(folder / "out")
    assert found.summary.standings["deletion"][0].photographs == COUNT
    assert found.below({"deletion": 1.0}) == []
    winner = found.pick()
    assert winner is not None
    assert winner.name == "gradcam at features.0"
    with pytest.raises(ImageError, match="no photographs"):
        runtime.evaluate("model.onnx", [])
    with pytest.raises(InputError, match="only one"):
        runtime.evaluate("model.onnx", ["photos", "photos/1.png"])
