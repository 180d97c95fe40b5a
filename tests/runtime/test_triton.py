"""Model repositories for Triton that cannot be written."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.artifacts import write_artifact
from support.cli import fail, refuse, succeed
from support.hostile import TENSORS, outside


def test_refusals_are_one_line_and_leave_nothing(tmp_path: Path) -> None:
    fixed = write_artifact(tmp_path / "fixed.onnx", batch=1)
    models = tmp_path / "models"
    package = ("package", fixed, "-o", models)
    assert fail(*package, "--triton", "--max-batch", 4) == (
        "Error: 'image' has no open batch axis, so Triton cannot join requests; leave --max-batch "
        "out, or export without --no-dynamic-batch\n"
    )
    assert not models.exists()
    succeed(*package, "--triton")
    assert f"{models / 'fixed'} exists; remove it, or give" in fail(*package, "--triton")
    blocked = fail("package", fixed, "--triton", "-o", fixed / "models")
    assert blocked.startswith(f"Error: cannot write {fixed / 'models'}: {fixed} is no folder; ")
    assert [path.name for path in models.iterdir()] == ["fixed"]
    fail(*package, code=2)


def test_weights_beside_the_artifact_are_packaged_and_nothing_else(tmp_path: Path) -> None:
    path = write_artifact(tmp_path / "m.onnx")
    path.write_bytes(path.read_bytes() + TENSORS["an initializer"](outside("weights/w.bin")))
    (tmp_path / "weights").mkdir()
    (tmp_path / "weights" / "w.bin").write_bytes(bytes(16))
    (tmp_path / "m.onnx.data").symlink_to("/etc/hostname")  # the model does not name it
    succeed("package", path, "--triton", "-o", tmp_path / "models")
    model = tmp_path / "models" / "m" / "1" / "model.onnx"
    files = {one.relative_to(model).as_posix() for one in model.rglob("*") if one.is_file()}
    assert files == {"model.onnx", "weights/w.bin"}
    assert (model / "weights" / "w.bin").read_bytes() == bytes(16)
    succeed("inspect", model / "model.onnx")


@pytest.mark.parametrize("name", ["../outside", "a/b", "a\\b", "..", ".", "", "a\nb"])
def test_a_name_is_that_of_a_folder_in_the_repository(tmp_path: Path, name: str) -> None:
    path = write_artifact(tmp_path / "m.onnx")
    said = refuse("package", path, "--triton", "-o", tmp_path / "models", "--name", name)
    assert f"the model cannot be called {name!r}" in said
    assert [one.name for one in tmp_path.iterdir()] == ["m.onnx"]
