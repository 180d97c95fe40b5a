"""`--max-pixels`, in every command that reads images."""

from __future__ import annotations

from pathlib import Path

import cv2
import pytest

from graftcam.cli import main
from support.artifacts import SCENE, write_artifact, write_segmenter
from support.cli import call, fail, refuse, succeed

READERS = ("explain", "diff", "bench", "export", "verify", "shrink", "concepts", "evaluate",
           "serve")  # fmt: skip


def test_commands_that_read_images_take_it() -> None:
    named = [
        name for name, command in main.commands.items()
        if any("--max-pixels" in option.opts for option in command.params)
    ]  # fmt: skip
    assert set(named) == set(READERS)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with one image of 160 x 120."""
    made = tmp_path / "images"
    made.mkdir()
    cv2.imwrite(str(made / "a.png"), SCENE[:, :, ::-1])
    return made


def test_an_image_beyond_it_is_refused_in_one_line(
    artifact: Path, folder: Path, tmp_path: Path
) -> None:
    height, width = SCENE.shape[:2]
    few, enough = ("--max-pixels", height * width - 1), ("--max-pixels", height * width)
    message = f"a.png has {width} x {height} pixels, more than"
    explain = ("explain", artifact, folder / "a.png", "-o", tmp_path / "out")
    assert message in refuse(*explain, *few)
    assert not (tmp_path / "out").exists()
    succeed(*explain, *enough)
    assert message in refuse("diff", artifact, artifact, folder, *few)
    succeed("diff", artifact, artifact, folder, *enough)
    assert message in refuse("bench", artifact, "--image", folder / "a.png", *few)
    assert "is not in the range" in fail(*explain, "--max-pixels", 0, code=2)


def test_a_folder_goes_on_where_one_image_is_too_large(
    artifact: Path, folder: Path, tmp_path: Path
) -> None:
    cv2.imwrite(str(folder / "small.png"), SCENE[:60, :60])
    job = ("explain", artifact, folder, "-o", tmp_path / "out")
    result = call(*job, "--max-pixels", 3600)
    assert result.exit_code == 1
    assert "explained 1, failed 1" in result.stdout
    assert "explained 2" in succeed(*job, "--retry").stdout


def test_a_mask_has_the_same_limit(folder: Path, tmp_path: Path) -> None:
    cv2.imwrite(str(tmp_path / "mask.png"), SCENE)
    large = cv2.resize(SCENE, None, fx=2, fy=2)
    cv2.imwrite(str(tmp_path / "large.png"), large)
    model = write_segmenter(tmp_path / "fields.onnx")
    pixels = SCENE.shape[0] * SCENE.shape[1]
    explain = ("explain", model, folder / "a.png", "-o", tmp_path / "out", "--class", "red")
    succeed(*explain, "--region", tmp_path / "mask.png", "--max-pixels", pixels)
    for more in ((), ("--box", "0,0,9,9")):
        said = refuse(*explain, "--region", tmp_path / "large.png", "--max-pixels", pixels, *more)
        assert "large.png has" in said


def test_a_name_of_250_characters_is_written_in_every_format(tmp_path: Path) -> None:
    model = write_artifact(tmp_path / "m.onnx")
    long = tmp_path / ("n" * 246 + ".png")
    cv2.imwrite(str(long), SCENE)
    for options in ((), ("--panel",), ("--format", "html"), ("--format", "npy")):
        out = tmp_path / "".join(options) if options else tmp_path / "plain"
        succeed("explain", model, long, "-o", out, *options)
        (file,) = out.iterdir()
        assert file.name.startswith("n" * 200)
