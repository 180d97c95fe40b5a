"""`graftcam explain` on a detector: lines, pictures and refusals."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from support.artifacts import write_artifact
from support.box_artifacts import letterbox, street, write_detector
from support.cli import fail, refuse, succeed


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_detector(tmp_path / "cells.onnx")
    cv2.imwrite("street.png", street()[:, :, ::-1])
    cv2.imwrite("faint.png", np.clip(street(), 0, 60)[:, :, ::-1])
    return tmp_path


def explain(image: str, *options: object) -> list[str]:
    return succeed("explain", "cells.onnx", image, *options).stdout.splitlines()


def test_a_line_for_each_box(folder: Path) -> None:
    assert explain("street.png", "-o", "out.png") == [
        "street.png: 4 boxes",
        "1 red 1.00 (0,32)-(32,64) level 1; 100 % of its map lies in the box",
        "2 green 1.00 (32,96)-(64,128) level 1; 100 % of its map lies in the box",
        "3 red 0.27 (0,0)-(32,64) level 2; 77 % of its map lies in the box",
        "4 green 0.27 (32,64)-(64,128) level 2; 77 % of its map lies in the box",
        "  -> out.png",
    ]
    assert Path("out.png").is_file()


def test_reasons_limits_classes_and_numbers(folder: Path) -> None:
    lines = explain("street.png", "--why", "edges", "--box", "2", "-o", "out")
    assert lines[1].endswith(
        "level 1; of its maps lies in the box: left empty, top empty, right empty, bottom empty"
    )
    assert lines[2:] == ["3 more boxes, not explained", f"  -> {Path('out', 'street-boxes.png')}"]
    assert explain("street.png", "--limit", "3", "-o", "out")[-2] == "1 more box, not explained"
    green = explain("street.png", "--class", "green", "--conf", "0.5", "-o", "out")
    assert green[:1] == ["street.png: 1 box"]
    rank = explain("street.png", "--box-index", "-1", "--method", "layercam", "-o", "out")
    assert rank[:1] == ["street.png: 1 box  layercam"]


def test_without_a_box_the_best_candidate_is_named(folder: Path) -> None:
    (line,) = explain("faint.png")
    assert line == (
        "faint.png: no box above 0.25; the best is red 0.22: --near-miss explains it, --conf 0.2 "
        "shows it"
    )
    assert not Path("faint-boxes.png").exists()
    near = explain("faint.png", "--near-miss")
    assert near[0] == "faint.png: no box above 0.25; the best one below it"
    assert near[1].startswith("1 red 0.22 (0,32)-(32,64) level 1; 100 %")
    assert explain("faint.png", "--conf", "0.2")[0] == "faint.png: 2 boxes"


def test_files_are_named_and_never_replaced_by_default(folder: Path) -> None:
    explain("street.png")
    before = Path("street-boxes.png").read_bytes()
    assert explain("street.png", "--box", "1")[-1] == "  -> street-boxes-2.png"
    assert Path("street-boxes.png").read_bytes() == before
    both = ["--method", "hirescam", "--method", "layercam", "-o", "out"]
    explain("street.png", *both, "--format", "jpg")
    assert sorted(path.name for path in Path("out").iterdir()) == [
        "street-boxes-hirescam.jpg", "street-boxes-layercam.jpg",
    ]  # fmt: skip
    said = refuse("explain", "cells.onnx", "street.png", "faint.png", "-o", "one.png")
    assert "one.png is one file for several pictures" in said
    explain("street.png", "--format", "npy", "-o", "maps")
    assert np.load(Path("maps", "street-boxes.npy")).shape == (4, 4, 4)


def test_json_has_boxes(folder: Path) -> None:
    found = succeed("explain", "cells.onnx", "street.png", "--json", "-o", "out").stdout
    (row,) = json.loads(found)
    assert [one["label"] for one in row["boxes"]] == ["red", "green", "red", "green"]
    assert row["classes"][0]["share"] == 1
    assert row["files"] == [str(Path("out", "street-boxes.png"))]


def test_a_folder_of_images(folder: Path) -> None:
    Path("photos").mkdir()
    for name in ("street.png", "faint.png"):
        Path(name).rename(Path("photos", name))
    succeed("explain", "cells.onnx", "photos", "-o", "out", "--conf", "0.5", "--why", "class")
    lines = Path("out", "results.jsonl").read_text().splitlines()
    rows = {row["path"]: row for row in map(json.loads, lines)}
    assert [one["label"] for one in rows["street.png"]["classes"]] == ["red", "green"]
    assert rows["street.png"]["method"] == "hirescam"
    assert rows["faint.png"]["classes"] == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--box", "9"], "box 9 is out of range; street has 4 boxes: 1 to 4"),
        (["--box", "1,2,3,4"], "is a detector and takes no --box 1,2,3,4"),
        (["--top", "2"], "is a detector and takes no --top"),
        (["--augment", "flip"], "takes no --augment"),
        (["--conf", "2"], "conf=2.0 is out of range"),
        (["--iou", "-1"], "iou=-1.0 is out of range"),
        (["--why", "lefft"], "did you mean 'left'"),
        (["--class", "cat"], "unknown label 'cat'"),
        (["--box-index", "20"], "box_index 20 is out of range"),
    ],
)
def test_wrong_options_of_a_detector(folder: Path, options: list[str], message: str) -> None:
    assert message in refuse("explain", "cells.onnx", "street.png", "-o", "out", *options)
    assert not Path("out").exists()


@pytest.mark.parametrize(
    "options",
    [["--box", "1"], ["--conf", "0.5"], ["--why", "left"], ["--near-miss"], ["--limit", "3"],
     ["--iou", "0.5"], ["--box-index", "1"]],
)  # fmt: skip
def test_a_classifier_takes_none_of_them(folder: Path, options: list[str]) -> None:
    write_artifact(folder / "classes.onnx")
    said = refuse("explain", "classes.onnx", "street.png", "-o", "out", *options)
    assert f"classes.onnx is no detector and takes no {' '.join(options[:1])}" in said


def test_masks_are_not_drawn_and_a_classifier_needs_a_folder(folder: Path) -> None:
    write_detector(folder / "seg.onnx", letterbox(task="segment"))
    said = refuse("explain", "seg.onnx", "street.png", "--why", "mask")
    assert "boxes are explained by class and edges; masks are not drawn" in said
    write_artifact(folder / "classes.onnx")
    assert "Missing option '-o'" in fail("explain", "classes.onnx", "street.png", code=2)
