"""The command line exports, lists and explains several outputs."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest

from support.cli import call, refuse, succeed
from support.three_heads import LABELS, write_plain

NAMED = ("--output", "gender", "--output", "age")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A plain model, files of labels, a photo, and ``out.onnx`` with two outputs."""
    path = tmp_path_factory.mktemp("cli")
    write_plain(path / "plain.onnx")
    for name, labels in LABELS.items():
        (path / f"{name}.txt").write_text("\n".join(labels))
    pixels = np.random.default_rng(0).integers(0, 256, (16, 20, 3), np.uint8)
    cv2.imwrite(str(path / "photo.png"), pixels)
    said = succeed(
        "export", path / "plain.onnx", "--layer", "features", *NAMED,
        "--labels", f"gender={path / 'gender.txt'}", "--labels", f"age={path / 'age.txt'}",
        "--preprocess", "unit,squash", "-o", path / "out.onnx",
    ).stdout  # fmt: skip
    assert "gender 2 classes, age 5 classes" in said
    assert "verified against finite-differences" in said
    return path


def test_explain_asks_for_an_output(folder: Path, tmp_path: Path) -> None:
    arguments = ("explain", folder / "out.onnx", folder / "photo.png", "-o", tmp_path)
    text = succeed(*arguments, "--output", "age", "--class", "old").stdout
    assert "output age\n  old  score" in text
    assert "other outputs: gender: " in text
    assert (tmp_path / "photo-old.png").is_file()
    (row,) = json.loads(succeed(*arguments, "--json").stdout)
    assert row["output"] == "gender"
    assert list(row["answers"]) == ["gender", "age"]
    assert "output 'age' has; explain that one" in refuse(*arguments, "--class", "old")
    assert "there is gender, age" in refuse(*arguments, "--output", "smile")


def test_a_folder_is_explained_for_an_output(folder: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    (photos / "a.png").write_bytes((folder / "photo.png").read_bytes())
    succeed("explain", folder / "out.onnx", photos, "-o", tmp_path / "out", "--output", "age")
    (line,) = (tmp_path / "out/results.jsonl").read_text().splitlines()
    assert json.loads(line)["classes"][0]["label"] in LABELS["age"]
    assert json.loads((tmp_path / "out/job.json").read_text())["request"]["output"] == "age"


def test_layers_and_inspect_name_the_outputs(folder: Path) -> None:
    text = succeed("layers", folder / "plain.onnx", *NAMED).stdout
    assert "scores gender ['N', 2]" in text
    assert "; age ['N', 5]" in text
    assert "0 gender, 1 age" in succeed("inspect", folder / "out.onnx").stdout
    record = json.loads(succeed("inspect", folder / "out.onnx", "--json").stdout)
    assert (record["version"], len(record["outputs"])) == (2, 2)


def test_verify_checks_every_output(folder: Path) -> None:
    text = succeed("verify", folder / "out.onnx", "--against", folder / "plain.onnx").stdout
    assert "gradients of gender" in text.replace("gradients    ", "")
    assert "gradients of age" in text


def test_verify_compares_the_labels_of_each_output(folder: Path) -> None:
    right, wrong = folder / "age.txt", folder / "gender.txt"
    text = succeed("verify", folder / "out.onnx", "--labels", f"age={right}").stdout
    assert "labels       age" in text
    text = call("verify", folder / "out.onnx", "--labels", f"age={wrong}").stdout
    assert "class 0 is 'child' in the artifact and 'female' in the source" in text
    message = refuse("verify", folder / "out.onnx", "--labels", right)
    assert "names none of the outputs 'gender', 'age'" in message


def test_labels_for_several_outputs_need_their_names(folder: Path, tmp_path: Path) -> None:
    message = refuse(
        "export", folder / "plain.onnx", *NAMED, "--labels", folder / "age.txt",
        "-o", tmp_path / "m.onnx",
    )  # fmt: skip
    assert "names none of the outputs 'gender', 'age'" in message
    assert "--labels gender=FILE" in message


def test_a_release_file_names_outputs_and_their_labels(folder: Path, tmp_path: Path) -> None:
    config, labels = tmp_path / "release.toml", tmp_path / "age.txt"
    labels.write_text("\n".join(LABELS["age"]))
    config.write_text(
        f'[heads]\nsource = "{folder / "plain.onnx"}"\nto = "m.onnx"\nverify = "off"\n'
        'layer = "features"\noutput = ["gender", "age"]\nlabels = ["age=age.txt"]\n'
    )
    succeed("export", "--config", config)
    assert "up to date" in succeed("export", "--config", config).stdout
    labels.write_text("\n".join(reversed(LABELS["age"])))
    assert "up to date" not in call("export", "--config", config).stdout


def test_an_output_is_visualized(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    succeed(
        "export", folder / "plain.onnx", "--layer", "features", *NAMED, "--verify", "off",
        "--extra", "input_gradients", "--preprocess", "unit,squash", "-o", path,
    )  # fmt: skip
    arguments = ("visualize", path, "-o", tmp_path / "i.png", "--class", 4, "--steps", 20)
    found = json.loads(succeed(*arguments, "--output", "age", "--json").stdout)
    assert found["score"] > found["start"]
    assert "class 4 is out of range; the model has 2" in refuse(*arguments)
