"""Model repositories for Triton that cannot be written."""

from __future__ import annotations

from functools import partial
from pathlib import Path

from support import cli
from support.artifacts import write_artifact

call = partial(cli.call, "package")


def test_refusals_are_one_line_and_leave_nothing(tmp_path: Path) -> None:
    fixed = write_artifact(tmp_path / "fixed.onnx", batch=1)
    models = tmp_path / "models"
    result = call(fixed, "--triton", "-o", models, "--max-batch", 4)
    assert result.exit_code == 1
    assert result.stderr == (
        "Error: 'image' has no open batch axis, so Triton cannot join requests; leave --max-batch "
        "out, or export without --no-dynamic-batch\n"
    )
    assert not models.exists()
    assert call(fixed, "--triton", "-o", models).exit_code == 0
    again = call(fixed, "--triton", "-o", models)
    assert again.exit_code == 1
    assert f"{models / 'fixed'} exists; remove it, or give" in again.stderr
    blocked = call(fixed, "--triton", "-o", fixed / "models")
    assert blocked.exit_code == 1
    assert blocked.stderr.startswith(f"Error: cannot write {fixed / 'models' / 'fixed'}: ")
    assert [path.name for path in models.iterdir()] == ["fixed"]
    assert call(fixed, "-o", models).exit_code == 2
