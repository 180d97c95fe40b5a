"""The version is in one place, and everything that tells it reads it there."""

from __future__ import annotations

import tomllib
from pathlib import Path

import graftcam
from graftcam.exporter.artifact.save import tool_versions
from graftcam.runtime import version
from graftcam.runtime.custody.bom import bill_of_materials
from support.cli import succeed
from support.paths import ROOT


def test_the_package_and_the_command_line_tell_the_version_of_the_code() -> None:
    assert graftcam.__version__ == version.__version__
    assert succeed("--version").stdout == f"graftcam, version {version.__version__}\n"


def test_artifacts_and_bills_of_materials_name_the_code_that_wrote_them(artifact: Path) -> None:
    assert tool_versions(["onnx"]).keys() == {"graftcam", "onnx"}
    assert tool_versions()["graftcam"] == version.__version__
    writer = bill_of_materials(artifact)["metadata"]["tools"]["components"][0]
    assert writer["version"] == version.__version__


def test_pyproject_has_no_version_of_its_own() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    assert "version" not in project
    assert "version" in project["dynamic"]
