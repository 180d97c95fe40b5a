"""The commands say in one line what is wrong with an artifact's metadata."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from support.artifacts import spec, write_artifact
from support.cli import call, refuse
from support.record_faults import FAULTS, TEXTS, changed

# Faults that were raw exceptions of one command or another, or none at all.
SEEN = (
    "zero std", "two means", "size of one", "negative size", "a huge size", "resize to 0",
    "resize to nothing", "single", "no thresholds", "a head elsewhere",
)  # fmt: skip


def faulty(name: str) -> tuple[str, str]:
    """The metadata with a fault, and what is said of it."""
    if name in TEXTS:
        return TEXTS[name]
    data = json.loads(spec().to_json())
    if name == "axis":
        return json.dumps(changed(data, ("score", "class_axis"), 7)), "7 is no axis"
    fault = FAULTS[name]
    if name == "no thresholds":
        data["verification"]["errors"] = {"scores": 0.1}
    if name == "a head elsewhere":
        data["layers"][0]["head"] = {"inputs": {}}
    return json.dumps(changed(data, fault.place, fault.value)), fault.message


@pytest.mark.parametrize("name", [*SEEN, "axis", "half a pair", "deep", "digits", "NaN"])
def test_no_command_fails_raw(tmp_path: Path, image_folder: Path, name: str) -> None:
    text, message = faulty(name)
    path = write_artifact(tmp_path / "m.onnx", metadata=text)
    image = next(image_folder.iterdir())
    for arguments in (("inspect", path), ("explain", path, image, "-o", tmp_path / "out")):
        line = refuse(*arguments)
        assert line.startswith(f"Error: {path}: ")
        assert re.search(message, line), line
    assert not (tmp_path / "out").exists()
    result = call("verify", path)
    assert (result.exit_code, type(result.exception)) == (1, SystemExit)
    assert re.search(rf"metadata.*{message}", result.stdout), result.stdout


def test_maps_of_an_unknown_method_fail_the_verification(tmp_path: Path) -> None:
    data = json.loads(spec().to_json())
    text = json.dumps(changed(data, ("layers", 0, "method"), "newcam"))
    path = write_artifact(tmp_path / "m.onnx", metadata=text)
    said = call("verify", path)
    assert said.exit_code == 1
    assert "layer features.0 has maps of 'newcam', which is no method of this" in said.stdout
