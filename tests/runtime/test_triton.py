"""Model repositories for Triton that cannot be written."""

from __future__ import annotations

from pathlib import Path

from support.artifacts import write_artifact
from support.cli import fail, succeed


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
