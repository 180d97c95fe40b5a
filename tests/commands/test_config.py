"""`graftcam export --config`: the models of a release, made when they have to be."""

from __future__ import annotations

import json
import re
from functools import partial
from pathlib import Path

import pytest

from graftcam.commands.config import Entry, Lock
from graftcam.demo.bundled import WEIGHTS
from graftcam.demo.data import LABELS
from graftcam.runtime import Explainer
from support import cli

MODEL = """
[defaults]
labels = "names.txt"
mean = [0.5, 0.5, 0.5]
std = [0.25, 0.25, 0.25]
shape = [3, 96, 96]
activation = "sigmoid"
verify = "off"
dynamic-batch = true

[digits]
source = "graftcam.demo.model:build"
weights = "digits.pt"
to = "dist/digits.onnx"

[early]
source = "graftcam.demo.model:build"
weights = "digits.pt"
to = "dist/early.onnx"
layer = ["layer2", "layer3"]
"""


@pytest.fixture
def release(tmp_path: Path) -> Path:
    (tmp_path / "names.txt").write_text("\n".join(LABELS))
    (tmp_path / "digits.pt").write_bytes(WEIGHTS.read_bytes())
    path = tmp_path / "release.toml"
    path.write_text(MODEL)
    return path


call = partial(cli.call, "export", "--config")
succeed = partial(cli.succeed, "export", "--config")


def test_all_models_are_made_and_then_left_alone(release: Path) -> None:
    succeed(release)
    early = Explainer(release.parent / "dist" / "early.onnx").spec
    assert [layer.name for layer in early.layers] == ["layer2", "layer3"]
    assert early.labels == list(LABELS)
    written = {p.name: p.stat().st_mtime_ns for p in (release.parent / "dist").iterdir()}
    assert succeed(release).stdout.count("is up to date") == 2
    assert written == {p.name: p.stat().st_mtime_ns for p in (release.parent / "dist").iterdir()}


def test_only_what_changed_is_made_again(release: Path) -> None:
    call(release)
    release.write_text(MODEL.replace('["layer2", "layer3"]', '["layer2"]'))
    result = call(release)
    assert "digits.onnx is up to date" in result.stdout
    assert len(Explainer(release.parent / "dist" / "early.onnx").spec.layers) == 1
    names = release.parent / "names.txt"
    names.write_text(names.read_text().upper())
    assert "up to date" not in call(release, "digits").stdout
    (release.parent / "dist" / "digits.onnx").write_bytes(b"damaged")
    assert "up to date" not in call(release, "digits").stdout
    assert "up to date" in call(release, "digits").stdout
    assert "up to date" not in call(release, "digits", "--fresh").stdout


def test_a_model_that_fails_stops_no_other_and_is_not_recorded(release: Path) -> None:
    changed = MODEL.replace('["layer2", "layer3"]', '["nowhere"]').replace("[digits]", "[z]")
    release.write_text(changed)
    said = cli.fail("export", "--config", release)
    assert "early: failed:" in said
    assert "nowhere" in said
    assert (release.parent / "dist" / "digits.onnx").exists()
    assert list(json.loads((release.parent / "release.lock.json").read_text())) == ["z"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("to =", "target ="), "unknown keys \\['target'\\] and lacks \\['to'\\]"),
        (("dynamic-batch = true", 'dynamic-batch = "yes"'), "dynamic-batch = 'yes'; give true or"),
        (('"sigmoid"', '["sigmoid", "none"]'), "give one value"),
        (("[defaults]", "stray = 1\n[defaults]"), "\\['stray'\\] stand outside of a table"),
        (("[defaults]", "[defaults"), "cannot read"),
        (("[defaults]", "x = " + "[" * 5000), "cannot read .*nested too deeply"),
        (("[defaults]", "defaults = 5\n[other]"), "\\['defaults'\\] stand outside of a table"),
        (("labels =", "lables ="), "did you mean 'labels'\\? keys are source"),
        (('to = "dist/digits.onnx"', "to = 5"), "\\[digits\\] to = 5; give text"),
        (('to = "dist/digits.onnx"', 'to = ["a", "b"]'), "give text"),
        (('weights = "digits.pt"', "weights = 2001-01-01"), "weights = .*2001.*; give text"),
        (('weights = "digits.pt"', "weights = {a = 1}"), "weights = {'a': 1}; give text"),
        (("shape = [3, 96, 96]", "shape = [[3], 1]"), "shape = \\[\\[3\\], 1\\]; give one value"),
        (('source = "graftcam.demo.model:build"', 'source = "--help"'), "begins with a dash"),
        (('source = "graftcam.demo.model:build"', "source = 3"), "source = 3; give text"),
        (("dist/digits", "../digits"), "to = .*\\.\\./digits\\.onnx.* leads out of"),
    ],
    ids=[
        "key",
        "flag",
        "list",
        "stray",
        "syntax",
        "depth",
        "defaults",
        "near",
        "to",
        "two files",
        "date",
        "table",
        "inner list",
        "option",
        "number",
        "outside",
    ],
)
def test_a_wrong_file_is_one_line(release: Path, change: tuple[str, str], message: str) -> None:
    release.write_text(MODEL.replace(*change, 1))
    assert re.search(message, cli.refuse("export", "--config", release))


def test_json_has_a_row_for_each_model(release: Path) -> None:
    wrong = MODEL.replace('layer = ["layer2", "layer3"]', 'layer = "layer9"')
    release.write_text(wrong)
    (release.parent / "dist").mkdir()
    result = call(release, "--json", "--quiet")
    assert result.exit_code == 1
    first, second = json.loads(result.stdout)
    assert first["state"] == "exported"
    assert first["report"]["layers"] == {"layer3": first["report"]["layers"]["layer3"]}
    assert (second["model"], second["state"], second["exit_code"]) == ("early", "failed", 1)
    assert "layer9" in second["error"]
    # Quiet also holds for each model: its failure is all that there is.
    (line,) = result.stderr.splitlines()
    assert line.startswith("early: failed: ")
    again = json.loads(call(release, "--json").stdout)
    assert [row["state"] for row in again] == ["current", "failed"]


def test_unknown_models_and_outputs_are_refused(release: Path) -> None:
    assert "has no model 'other'; it has digits, early" in call(release, "other").stderr
    assert "leave --to out" in cli.fail("export", "--config", release, "-o", "x.onnx", code=2)
    cli.fail("export", code=2)


@pytest.mark.parametrize(
    "text",
    ["[]", "5", "{", '{"m": 3}', '{"m": {"from": 1}}', '{"m": NaN}', "[" * 5000, "\xff"],
)
def test_a_damaged_lock_file_means_that_nothing_is_up_to_date(tmp_path: Path, text: str) -> None:
    config, artifact = tmp_path / "release.toml", tmp_path / "m.onnx"
    artifact.write_bytes(b"artifact")
    config.with_name("release.lock.json").write_text(text, "latin-1")
    entry, lock = Entry("m", artifact, [], [], None, heads=False), Lock(config)
    assert not lock.is_current(entry)
    lock.record(entry)
    assert Lock(config).is_current(entry)
