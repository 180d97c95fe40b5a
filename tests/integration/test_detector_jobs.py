"""A folder of images through a detector: a line for each image with its boxes."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import pytest

from graftcam.runtime import Explainer
from graftcam.runtime.tools.jobs.parquet import write_parquet
from graftcam.runtime.tools.jobs.run import run
from graftcam.runtime.tools.jobs.settings import Settings
from support.small_detector import export_detector, write_scene

# Half of it, with 16 rows of padding above, is what the model sees.
SHAPE = (64, 128)
TWO = ("red", 32, 0, 32), ("blue", 80, 48, 16)


@pytest.fixture(scope="module")
def artifact(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return export_detector(tmp_path_factory.mktemp("detector") / "squares.onnx")


@pytest.fixture
def settings(artifact: Path, tmp_path: Path) -> Settings:
    folder = tmp_path / "images"
    (folder / "a").mkdir(parents=True)
    write_scene(folder / "a" / "two.png", *TWO, shape=SHAPE)
    write_scene(folder / "none.png", shape=SHAPE)
    write_scene(folder / "one.png", TWO[0], shape=SHAPE)
    (folder / "broken.png").write_bytes(b"no image")
    return Settings(str(artifact), str(folder), str(tmp_path / "out"), {"conf": 0.2}, batch=2)


def rows_of(settings: Settings) -> dict[str, dict[str, Any]]:
    lines = Path(settings.output, "results.jsonl").read_text("ascii").splitlines()
    return {row["path"]: row for row in map(json.loads, lines)}


def test_a_line_holds_the_boxes_and_a_picture_lies_beside_it(settings: Settings) -> None:
    summary = run(settings)
    assert (summary.explained, summary.failed) == (3, 1)
    rows, folder = rows_of(settings), Path(settings.images)
    found = Explainer(settings.model, "cpu").explain_boxes(folder / "a" / "two.png", conf=0.2)
    two = rows["a/two.png"]
    assert [box["label"] for box in two["boxes"]] == [one.label for one in found.detections]
    assert {box["label"] for box in two["boxes"]} == {"red", "blue"}
    for record, detection, share in zip(two["boxes"], found.detections, found.shares, strict=True):
        assert record["number"] == detection.number
        assert record["box"] == pytest.approx(detection.box, abs=0.01)
        assert record["score"] == pytest.approx(detection.score, abs=1e-4)
        assert (record["class_id"], record["level"]) == (detection.class_id, detection.level)
        assert record["share"] == pytest.approx(share, abs=1e-4)
        assert record["status"] == "ok"
    assert two["files"] == ["overlays/a/two.png-boxes.png"]
    picture = cv2.imread(str(Path(settings.output, *two["files"])))
    assert picture.shape[0] > 200
    assert picture.shape[1] > 600


def test_an_image_without_boxes_is_a_line_with_an_empty_list(settings: Settings) -> None:
    run(settings)
    none, broken = (rows_of(settings)[name] for name in ("none.png", "broken.png"))
    assert (none["status"], none["boxes"], none["classes"], none["files"]) == ("ok", [], [], [])
    assert (none["width"], none["height"]) == (128, 64)
    assert (broken["status"], broken["boxes"]) == ("failed", [])


def test_a_job_that_was_interrupted_ends_with_the_same_bytes(
    settings: Settings, tmp_path: Path
) -> None:
    run(settings)
    whole = Path(settings.output, "results.jsonl").read_bytes()
    again = replace(settings, output=str(tmp_path / "again"))

    def stopped(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(again, progress=stopped)
    assert 0 < len(rows_of(again)) < 4
    run(again)
    assert Path(again.output, "results.jsonl").read_bytes() == whole


def test_edges_and_the_limit_show_in_the_line(settings: Settings) -> None:
    run(replace(settings, request={"conf": 0.2, "limit": 1, "why": ["class", "left"]}))
    first, second = rows_of(settings)["a/two.png"]["boxes"]
    of_class, of_edge = (one["share"] for one in rows_of(settings)["a/two.png"]["classes"])
    assert first["share"] == of_class
    assert of_class != of_edge
    assert (second["share"], second["status"]) == (None, None)
    whys = [(one["number"], one["why"]) for one in rows_of(settings)["a/two.png"]["classes"]]
    assert whys == [(1, "class"), (1, "left")]


def test_parquet_has_a_column_of_boxes(settings: Settings) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = run(settings).table
    read = parquet.read_table(write_parquet(table)).to_pylist()
    rows = rows_of(settings)
    assert [row["boxes"] for row in read] == [rows[row["path"]]["boxes"] for row in read]
    assert [row["classes"] for row in read] == [rows[row["path"]]["classes"] for row in read]


def test_a_batch_gives_each_image_its_own_boxes(settings: Settings) -> None:
    """Images with two boxes, one and none in one run, and one by one."""
    alone = replace(settings, batch=1, output=f"{settings.output}-alone")
    together = replace(settings, batch=3)
    for job in (alone, together):
        run(job)
    found, expected = rows_of(together), rows_of(alone)
    counts = {path: len(row["boxes"]) for path, row in found.items()}
    assert counts["none.png"] == 0 < counts["one.png"] < counts["a/two.png"]
    for path, row in found.items():
        assert row["files"] == expected[path]["files"]
        for one, other in zip(row["boxes"], expected[path]["boxes"], strict=True):
            assert one["box_index"] == other["box_index"]
            assert one["share"] == pytest.approx(other["share"], abs=1e-4)
