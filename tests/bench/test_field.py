"""The field test's judgement, its measurement of places, and its page."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest

from benchmarks.field.judge import FOLLOWS, judge
from benchmarks.field.packages import Package
from benchmarks.field.proof import follows, prove
from benchmarks.field.report import write_report
from benchmarks.field.subject import Subject, Truth
from benchmarks.field.table import GROUPS, SUBJECTS
from graftcam.exporter import export
from support.paths import ROOT

DOCS = ROOT / "docs"

TRUTH = Truth(
    "boxes first, then probabilities [N, anchors, 4 + 3]",
    ("scores",), (3,), "softmax", axis=2, offsets=(4,), places=((2, 3),),
    refusals=("--class-axis",),
)  # fmt: skip
SEEN: dict[str, Any] = {
    "output": "scores", "position": 1, "axis": 2, "offset": 4, "classes": 3, "kind": "logit",
    "activation": "softmax", "activated": True, "layer": "relu", "grid": [7, 5],
    "constant": False, "verdict": "pass", "place": 0.97,
}  # fmt: skip


def subject(truth: Truth = TRUTH) -> Subject:
    return Subject("net", "shapes", Package("shapes", "1.0"), "net.onnx", truth, dict)


def row(said: str = "", **changed: Any) -> dict[str, Any]:
    """An attempt that wrote an artifact, with one thing changed."""
    return {"exit": 0, "written": True, "said": said, "seconds": 1.0, "seen": SEEN | changed}


def refused(said: str, **changed: Any) -> dict[str, Any]:
    return {"exit": 1, "written": False, "said": said, "seconds": 1.0, **changed}


def test_an_artifact_as_the_truth_says_is_right() -> None:
    assert judge(row(), subject()) == ("right", [])


@pytest.mark.parametrize(
    ("changed", "remark"),
    [
        ({"output": "boxes", "position": 0}, "no class score"),
        ({"axis": 1, "classes": 300}, "axis 1 for 300 classes"),
        ({"offset": 0, "classes": 7}, "begin at 4"),
        ({"classes": 2}, "there are 3"),
        ({"activated": False}, "has gone through Softmax"),
        ({"constant": True}, "the same everywhere"),
        ({"grid": [1, 1]}, "a single place"),
        ({"grid": [35]}, "no such places"),
        ({"place": 0.1}, "do not follow the input's"),
        ({"place": float("nan")}, "do not follow the input's"),
    ],
)
def test_an_artifact_that_differs_from_the_truth_misleads(
    changed: dict[str, Any], remark: str
) -> None:
    outcome, remarks = judge(row(**changed), subject())
    assert outcome == "misleading"
    assert remark in remarks[0]


def test_every_artifact_of_a_model_without_class_scores_misleads() -> None:
    outcome, remarks = judge(row(), subject(Truth("an embedding")))
    assert outcome == "misleading"
    assert "the model has no class scores" in remarks[0]


def test_a_highest_place_outside_of_the_seen_object_misleads() -> None:
    seen = Subject("net", "", Package("shapes", "1.0"), "", TRUTH, dict, top=frozenset({2}))
    assert judge(row(box=False, top_matches=True), seen).outcome == "misleading"
    # Of a class that the picture does not show nothing can be said.
    assert judge(row(box=False, top_matches=False), seen).outcome == "right"


def test_a_right_artifact_without_a_proof_is_not_verified() -> None:
    assert judge(row(verdict="skipped"), subject()).outcome == "not verified"


def test_a_refusal_is_true_if_its_message_names_the_obstacle() -> None:
    true = refused("load ... 1 s\nError: name the classes' axis with\n --class-axis")
    assert judge(true, subject()) == (
        "refused, true reason", ["name the classes' axis with --class-axis"],
    )  # fmt: skip
    false = refused("Error: no output has classes")
    assert judge(false, subject()).outcome == "refused, false reason"


@pytest.mark.parametrize(
    "attempt",
    [
        refused("Traceback (most recent call last):\nIndexError: index 1 is out of bounds"),
        refused("    gradients[row, k]\nIndexError: index 1 is out of bounds"),
        refused("Killed"),
        refused("", exit=None),
        refused("Error: name it with --class-axis", written=True, unproven="no metadata"),
        refused("", exit=0, written=True, unproven="Fail: [ONNXRuntimeError]"),
    ],
    ids=[
        "traceback",
        "end of a traceback",
        "killed",
        "time limit",
        "refused and written",
        "does not run",
    ],
)
def test_crashes_and_files_that_do_not_run_are_errors(attempt: dict[str, Any]) -> None:
    assert judge(attempt, subject()).outcome == "error"


def test_places_that_follow_the_input_are_told_from_places_that_do_not() -> None:
    picture = np.random.default_rng(0).random((1, 1, 60, 40), np.float32)
    order = np.array([4, 1, 5, 0, 3, 2])

    def pooled(value: Any) -> Any:
        return value.reshape(1, 1, 6, 10, 4, 10).mean(axis=(3, 5))

    def shuffled(value: Any) -> Any:
        return pooled(value)[:, :, order]

    for number in (0, 1):
        assert follows(picture, 2 + number, number, pooled(picture), pooled) > 0.95
    assert follows(picture, 2, 0, shuffled(picture), shuffled) < FOLLOWS

    # A map that is transposed does not move with the axes that it claims.
    def turned(value: Any) -> Any:
        return pooled(value).swapaxes(2, 3)

    assert min(follows(picture, 2 + n, n, turned(picture), turned) for n in (0, 1)) < FOLLOWS


NET = """
<ir_version: 8, opset_import: ["" : 18]>
net (float[N, 1, 32, 32] x) => (float[N, 2] probs)
<float[2, 1, 1, 1] w = {1.0, -1.0}, float[2, 2] dense = {1.0, -1.0, -1.0, 1.0}>
{
    bright = Conv <strides = [4, 4]> (x, w)
    spots = Relu (bright)
    whole = ReduceMean <keepdims = 0> (spots, axes)
    logits = MatMul (whole, dense)
    probs = Softmax <axis = 1> (logits)
}
"""


def test_an_artifact_is_measured_on_its_input(tmp_path: Path) -> None:
    model = onnx.parser.parse_model(NET)
    model.graph.initializer.append(onnx.numpy_helper.from_array(np.array([2, 3]), "axes"))
    onnx.save(model, tmp_path / "net.onnx")
    export(tmp_path / "net.onnx", tmp_path / "x.onnx", layers="spots", verify="off")
    picture = np.random.default_rng(0).random((1, 1, 32, 32), np.float32) / 10
    picture[..., 20:28, 4:8] = 1
    truth = Truth("a bright spot", ("probs",), (2,), "softmax", places=((2, 3),))
    spot = Subject(
        "net", "", Package("shapes", "1.0"), "", truth, lambda: {"x": picture},
        box=(0.6, 0.1, 0.9, 0.3), top=frozenset({0}),
    )  # fmt: skip
    found = prove(tmp_path / "x.onnx", spot)
    assert (found["output"], found["position"], found["axis"]) == ("probs", 0, 1)
    assert (found["grid"], found["class"], found["constant"]) == ([8, 8], 0, False)
    assert found["box"]
    assert found["place"] > FOLLOWS
    assert found["effect"] > 0.3
    # It is right but for the proof, which the export was told to leave out.
    attempt = {"exit": 0, "written": True, "said": "", "seconds": 1.0, "seen": found}
    assert judge(attempt, spot).outcome == "not verified"


def test_a_package_tells_the_licence_that_it_declares(tmp_path: Path) -> None:
    package = Package("shapes", "1.0")
    info = package.folder(tmp_path) / "shapes-1.0.dist-info"
    info.mkdir(parents=True)
    assert package.licence(tmp_path) == "none declared"
    for told, declared in (
        ("License: UNKNOWN\nClassifier: License :: OSI Approved :: MIT License", "MIT License"),
        ("License-Expression: MIT\nLicense-File: COPYING", "MIT"),
        ("License-File: COPYING", "see its COPYING"),
    ):
        (info / "METADATA").write_text(f"Name: shapes\n{told}\n\nAbout shapes.")
        assert package.licence(tmp_path) == declared
    of_npm = Package("@some/shapes", "1.0", npm=True)
    folder = of_npm.folder(tmp_path) / "package"
    folder.mkdir(parents=True)
    (folder / "package.json").write_text('{"license": "ISC"}')
    assert of_npm.licence(tmp_path) == "ISC"


def test_the_table_has_enough_models_and_each_says_what_is_true() -> None:
    assert len(SUBJECTS) >= 40
    assert len({subject.key for subject in SUBJECTS}) == len(SUBJECTS)
    for one in SUBJECTS:
        assert len(one.truth.classes) == len(one.truth.outputs), one.key
        assert one.truth.refusals or (one.truth.outputs and one.truth.places), one.key


def test_the_page_shows_the_stored_attempts(tmp_path: Path) -> None:
    rows = json.loads((DOCS / "field.json").read_text("utf-8"))
    write_report({row["key"]: row for row in rows}, GROUPS, tmp_path)
    assert (tmp_path / "field.md").read_bytes() == (DOCS / "field.md").read_bytes()
