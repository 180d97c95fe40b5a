"""`graftcam explain` and `diff` for models that take more than, or other than, a photograph."""

from __future__ import annotations

import json
import wave
from pathlib import Path

import cv2
import numpy as np
import pytest

from support.artifacts import preprocess
from support.artifacts_nd import (
    write_nd,
    write_signal,
    write_text,
    write_two_images,
    write_with_table,
)
from support.cli import fail, refuse, succeed
from support.images import read_rgb

RED = np.full((40, 60, 3), (255, 51, 0), np.uint8)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with artifacts of each kind, and files for them."""
    made = tmp_path_factory.mktemp("inputs")
    write_signal(made / "signal.onnx")
    write_text(made / "text.onnx")
    write_with_table(made / "table.onnx", preprocess())
    write_two_images(made / "two.onnx", preprocess(input="left"))
    cv2.imwrite(str(made / "red.png"), RED[:, :, ::-1])
    signal = np.zeros(32)
    signal[8:12] = 1
    np.save(made / "beat.npy", signal)
    np.save(made / "beats.npy", np.stack([signal, signal[::-1]])[:, None])
    np.save(made / "half.npy", [0.5])
    np.save(made / "ids.npy", [2, 0, 1])
    np.save(made / "table.npy", [[1.0, 2.0]])
    (made / "vocab.txt").write_text("good\nbad\nthe\n")
    with wave.open(str(made / "beep.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16)
        file.writeframes((signal * 32767).astype("<i2").tobytes())
    return made


@pytest.mark.parametrize("name", ["beat.npy", "beep.wav"])
def test_a_file_of_a_signal_is_explained(folder: Path, tmp_path: Path, name: str) -> None:
    said = succeed("explain", folder / "signal.onnx", folder / name, "-o", tmp_path, "--class", 0)
    path = tmp_path / f"{Path(name).stem}-0.png"
    assert str(path) in said.output
    assert read_rgb(path).shape == (260, 1000, 3)


def test_rows_of_a_file_are_explained_one_by_one(folder: Path, tmp_path: Path) -> None:
    found = succeed(
        "explain", folder / "signal.onnx", folder / "beats.npy", "-o", tmp_path, "--json",
        "--class", 0, "--format", "npy",
    )  # fmt: skip
    rows = json.loads(found.stdout)
    assert [row["name"] for row in rows] == ["beats", "beats-2"]
    assert [np.load(row["files"][0])[0].argmax() for row in rows] == [2, 5]


def test_further_inputs_are_files_or_numbers(folder: Path, tmp_path: Path) -> None:
    for value in ("1,2", "1.0,2e0", folder / "table.npy"):
        found = succeed(
            "explain", folder / "table.onnx", folder / "red.png", "-o", tmp_path, "--json",
            "--class", 0, "--class", 1, "--input", f"table={value}",
        )  # fmt: skip
        (row,) = json.loads(found.stdout)
        assert [one["score"] for one in row["classes"]] == pytest.approx([5, 2.6])


def test_a_second_photograph_is_an_input(folder: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "tall.png"), np.zeros((64, 40, 3), np.uint8))
    arguments = (
        "explain", folder / "two.onnx", folder / "red.png", "-o", tmp_path, "--json", "--class", 0,
        "--input", f"right={tmp_path / 'tall.png'}",
    )  # fmt: skip
    (row,) = json.loads(succeed(*arguments).stdout)
    assert (row["width"], row["height"]) == (40, 64)
    (row,) = json.loads(succeed(*arguments, "--over", "left").stdout)
    assert (row["width"], row["height"]) == (60, 40)


def test_tokens_are_printed_with_their_values(folder: Path, tmp_path: Path) -> None:
    said = succeed(
        "explain", folder / "text.onnx", folder / "ids.npy", "-o", tmp_path, "--class", 0,
        "--tokens", folder / "vocab.txt", "--format", "html",
    )  # fmt: skip
    assert "the 0.00  good 1.00  bad 0.00" in said.output
    assert "\x1b" not in said.output
    assert ">good</span>" in (tmp_path / "ids.html").read_text()


def test_a_folder_of_arrays_is_explained(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for number in range(3):
        np.save(tmp_path / "in" / f"{number}.npy", np.arange(32.0) + number)
    np.save(tmp_path / "in" / "wrong.npy", np.zeros((2, 32)))
    cv2.imwrite(str(tmp_path / "in" / "photo.png"), RED)
    said = fail("explain", folder / "signal.onnx", tmp_path / "in", "-o", tmp_path / "out")
    assert said.startswith("ran on")
    lines = (tmp_path / "out" / "results.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert [row["status"] for row in rows] == ["ok"] * 3 + ["failed"]
    assert (rows[0]["width"], rows[0]["height"]) == (None, None)
    assert "is float64 [2, 32], which does not fit input 'signal'" in rows[3]["error"]
    assert (tmp_path / "out" / rows[0]["files"][0]).is_file()


def test_a_folder_of_photographs_shares_the_other_inputs(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    cv2.imwrite(str(tmp_path / "in" / "a.png"), RED[:, :, ::-1])
    np.save(tmp_path / "in" / "other.npy", [3])
    succeed(
        "explain", folder / "table.onnx", tmp_path / "in", "-o", tmp_path / "out", "--class", 0,
        "--input", f"table={folder / 'table.npy'}",
    )  # fmt: skip
    (row,) = map(json.loads, (tmp_path / "out" / "results.jsonl").read_text().splitlines())
    assert row["classes"][0]["score"] == pytest.approx(5)


def test_a_folder_of_archives_holds_all_inputs(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    np.savez(tmp_path / "in" / "a.npz", image=RED, table=[1, 2])
    model, out = folder / "table.onnx", tmp_path / "out"
    succeed("explain", model, tmp_path / "in", "-o", out, "--class", 0)
    (row,) = map(json.loads, (out / "results.jsonl").read_text().splitlines())
    assert row["classes"][0]["score"] == pytest.approx(5)
    assert (row["width"], row["height"]) == (60, 40)


def test_diff_passes_the_inputs_to_both(folder: Path) -> None:
    model, image = folder / "table.onnx", folder / "red.png"
    said = succeed("diff", model, model, image, "--input", "table=1,2")
    assert "maps 1.000 similar" in said.output
    assert "pass 'table' by name" in refuse("diff", model, model, image)
    signal = folder / "signal.onnx"
    assert "1.000 similar" in succeed("diff", signal, signal, folder / "beat.npy").output


def test_diff_draws_signals_below_each_other(folder: Path, tmp_path: Path) -> None:
    write_nd(
        tmp_path / "other.onnx", {"signal": "float[N, 1, L]"}, rank=1,
        begin="""turned = Neg(signal)
        one = Constant <value_float = 1.0> ()
        dark = Add(turned, one)
        sums = Conv <strides = [4]> (dark, kernel)""",
    )  # fmt: skip
    out = tmp_path / "out"
    succeed("diff", folder / "signal.onnx", tmp_path / "other.onnx", folder / "beat.npy", "-o", out)
    (drawn,) = out.glob("*.png")
    height, width, _ = read_rgb(drawn).shape
    assert height > 3 * 260
    assert width < 1100


def test_diff_goes_on_after_a_file_that_does_not_fit(folder: Path, tmp_path: Path) -> None:
    signal, wrong = folder / "signal.onnx", tmp_path / "wrong.npy"
    np.save(wrong, np.zeros((2, 32)))
    found = fail("diff", signal, signal, folder / "beat.npy", wrong)
    assert f"failed: {wrong}: {wrong} is float64 [2, 32], which does not fit" in found


def test_inspect_lists_what_the_model_takes(folder: Path) -> None:
    said = succeed("inspect", folder / "table.onnx").output
    assert "takes   'image' float32 [batch, 3, 32, 32]" in said
    assert "takes   'table' float32 [batch, 2]" in said


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--input", "table"], "'table' is not of the form name=file or name=1,2,3"),
        (["--input", "=3"], "is not of the form"),
        (["--input", "table=1,2", "--input", "table=2,3"], "table is given twice"),
    ],
)
def test_a_misspelt_input_is_an_error_of_usage(
    folder: Path, tmp_path: Path, arguments: list[str], message: str
) -> None:
    model, image = folder / "table.onnx", folder / "red.png"
    assert message in fail("explain", model, image, "-o", tmp_path / "out", *arguments, code=2)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("model", "file", "arguments", "message"),
    [
        ("table", "red.png", [], "takes 'image' float32 [batch, 3, 32, 32], 'table' float32"),
        ("table", "red.png", ["--input", "age=3"], "has no input 'age'; it takes 'image' float32"),
        ("table", "red.png", ["--input", "table=none.npy"], "cannot read none.npy"),
        ("table", "red.png", ["--input", "table=1"], "'table' is int64 [], which does not fit"),
        ("signal", "red.png", [], "stores no preprocessing; "),
        ("signal", "ids.npz:left", [], "cannot read"),
        (
            "two",
            "red.png",
            ["--input", "right={folder}/red.png", "--over", "x"],
            "unknown input 'x'",
        ),
        ("text", "ids.npy", ["--tokens", "none.txt"], "cannot read none.txt"),
        ("text", "ids.npy", ["--augment", "scale"], "input 'input_ids' takes int64"),
        (
            "text",
            "half.npy",
            [],
            "half.npy is float64 from 0.5 to 0.5, which does not fit the type",
        ),
    ],
)
def test_what_does_not_fit_is_refused_in_one_line(
    folder: Path, tmp_path: Path, model: str, file: str, arguments: list[str], message: str
) -> None:
    arguments = [argument.format(folder=folder) for argument in arguments]
    line = refuse("explain", folder / f"{model}.onnx", folder / file, "-o", tmp_path / "out",
                  *arguments)  # fmt: skip
    assert message in line
    assert not (tmp_path / "out").exists()
