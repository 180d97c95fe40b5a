"""The command `graftcam verify`: what it prints, writes and refuses."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from support.cli import call, refuse, succeed
from support.paths import ROOT
from support.wrong_artifacts import (
    changed,
    flat_artifact,
    perturb_gradient,
)

SCHEMA = json.loads((ROOT / "docs/verification.schema.json").read_text())


@pytest.fixture(scope="module")
def good(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A right artifact; tests must not change the file."""
    return flat_artifact(tmp_path_factory.mktemp("good") / "flat.onnx")


def test_the_command_passes_a_good_artifact_and_writes_the_report(
    good: Path, tmp_path: Path, image_folder: Path
) -> None:
    report = tmp_path / "verdict.json"
    result = succeed("verify", good, "--images", image_folder, "--json", report)
    assert "flat.onnx passes: finite-differences, 4 random inputs and 2 images" in result.stdout
    data = json.loads(report.read_text())
    jsonschema.validate(data, SCHEMA)
    assert data["verdict"] == "pass"
    assert data["inputs"] == {"random": 4, "given": 2, "seed": 0}
    printed = call("verify", good, "--json", "-")
    assert json.loads(printed.stdout)["artifact"] == data["artifact"]


def test_the_command_fails_a_wrong_artifact(good: Path, tmp_path: Path) -> None:
    before = good.read_bytes()
    path = changed(good, tmp_path / "flat.onnx", perturb_gradient)
    result = call("verify", path)
    assert result.exit_code == 1
    last = result.stdout.splitlines()[-1]
    assert last.startswith("flat.onnx may not ship, 2 failed: gradients: error ")
    assert good.read_bytes() == before


REFUSALS = {
    "no such artifact": (["verify", "no.onnx"], "no.onnx"),
    "no such source": (["verify", "GOOD", "--against", "no.onnx"], "no file no.onnx"),
    "no such folder": (["verify", "GOOD", "--images", "no"], "no folder no"),
    "no images": (["verify", "GOOD", "--images", "EMPTY"], "contains no images"),
    "unreadable image": (["verify", "GOOD", "--images", "BROKEN"], "is no image that OpenCV"),
    "report nowhere": (["verify", "GOOD", "--json", "broken/a.png/verdict.json"], "cannot write"),
}


@pytest.mark.parametrize(("arguments", "message"), REFUSALS.values(), ids=REFUSALS)
def test_bad_input_is_one_line_with_exit_code_1(
    good: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "a.png").write_text("no image")
    places = {"GOOD": str(good), "EMPTY": "empty", "BROKEN": "broken"}
    assert message in refuse(*[places.get(argument, argument) for argument in arguments])
