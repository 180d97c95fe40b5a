"""One artifact explains several outputs of a model: export, contract and proof."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from numpy.typing import NDArray

from graftcam.exporter import Score, Verify, export
from graftcam.exporter.capture.model import candidates_of
from graftcam.exporter.errors import (
    CaptureError,
    LayerError,
    ScoreError,
    UnprovenError,
    VerificationError,
)
from graftcam.exporter.score import several_outputs
from graftcam.exporter.source.labels import labels_of_files
from graftcam.runtime.errors import GraftcamError, SpecError
from graftcam.runtime.spec import Spec
from support.nets import seeded
from support.sessions import open_session
from support.three_heads import LABELS, OUTPUTS, ThreeHeads, export_heads, logits_of, write_plain

IMAGES = np.random.default_rng(3).standard_normal((2, 3, 12, 12)).astype(np.float32)
EXAMPLE = (torch.zeros(1, 3, 12, 12),)
# All classes of all outputs, in an order that mixes them.
WANTED = [(1, 4), (0, 0), (2, 1), (1, 0), (2, 0), (0, 1)]
INDEX = np.array([[entry for _, entry in WANTED]])
WHICH = np.array([[place for place, _ in WANTED]])


def run(path: Path, **feeds: Any) -> dict[str, NDArray[Any]]:
    """All outputs for `IMAGES`."""
    session = open_session(path)
    given = {name: np.asarray(value) for name, value in feeds.items()}
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {"image": IMAGES, **given}), strict=True))


def score_of(kind: str, output: str, entry: int, features: NDArray[np.float64]) -> float:
    """The score that an artifact of this kind differentiates, from the layer's output."""
    logits = logits_of(features)[output]
    # A single logit is not the softmax of itself and its negative.
    powers = 1 + np.exp(-logits) if output == "smile" else np.exp(logits).sum() / np.exp(logits)
    raw = kind == "logit" or (kind == "output" and output != "gender")
    if raw:
        return float(logits[entry])
    return float(-np.log(powers[entry]) if kind == "log_probability" else 1 / powers[entry])


@pytest.mark.parametrize("profile", ["default", "web", "cuda"])
@pytest.mark.parametrize("kind", ["logit", "output", "probability", "log_probability"])
def test_gradients_of_mixed_requests_are_finite_differences(
    kind: Any, profile: Any, tmp_path: Path
) -> None:
    export_heads(tmp_path / "m.onnx", score=kind, profile=profile)
    found = run(tmp_path / "m.onnx", class_index=INDEX, output_index=WHICH)
    assert found["classes"].tolist() == [INDEX[0].tolist()] * 2
    draw = np.random.default_rng(0)
    for row, k in ((0, 0), (1, 1), (0, 2), (1, 3), (0, 4), (1, 5)):
        place, entry = WANTED[k]
        features = found["activations"][row].astype(np.float64)
        output = OUTPUTS[place]
        # float32 arithmetic of the artifact against float64 here.
        assert found["scores"][row, k] == pytest.approx(
            score_of(kind, output, entry, features), rel=2e-5, abs=1e-6
        )
        for _ in range(3):
            step = 1e-5 * draw.standard_normal(features.shape)
            ahead = score_of(kind, output, entry, features + step)
            behind = score_of(kind, output, entry, features - step)
            slope = float((found["gradients"][row, k] * step).sum())
            assert 2 * slope == pytest.approx(ahead - behind, rel=1e-3, abs=1e-10)


def test_ranks_count_within_the_asked_output(tmp_path: Path) -> None:
    export_heads(tmp_path / "m.onnx")
    found = run(tmp_path / "m.onnx", class_index=[[-1, -5, -1, -2]], output_index=[[1, 1, 2, 0]])
    for row in range(2):
        logits = logits_of(found["activations"][row].astype(np.float64))
        assert found["classes"][row].tolist() == [
            logits["age"].argmax(), logits["age"].argmin(),
            logits["smile"].argmax(), logits["gender"].argmin(),
        ]  # fmt: skip


def test_left_out_inputs_ask_for_the_best_class_of_the_first_output(tmp_path: Path) -> None:
    export_heads(tmp_path / "m.onnx", output=["smile", "age"])
    found, asked = (
        run(tmp_path / "m.onnx"),
        run(tmp_path / "m.onnx", class_index=[[-1]], output_index=[[0]]),
    )
    np.testing.assert_array_equal(found["heatmap"], asked["heatmap"])
    assert found["classes"].tolist() == (found["smile"] > 0).astype(int).tolist()


def test_the_numbers_of_classes_and_outputs_broadcast(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    export_heads(path)
    each = run(path, class_index=[[-1, -1, -1]], output_index=[[0, 1, 2]])
    mixed = run(path, output_index=[[0, 1, 2]])
    np.testing.assert_array_equal(mixed["gradients"], each["gradients"])
    ages = run(path, class_index=[[3, 1]], output_index=[[1]])
    np.testing.assert_array_equal(ages["classes"], [[3, 1], [3, 1]])
    rows = run(path, class_index=[[1]], output_index=[[0], [2]])["heatmap"]
    gender, smile = (run(path, class_index=[[1]], output_index=[[i]])["heatmap"] for i in (0, 2))
    np.testing.assert_allclose(rows, [gender[0], smile[1]], atol=1e-7)
    none = run(path, class_index=np.zeros((1, 0), np.int64))
    assert none["gradients"].shape == (2, 0, 4, 12, 12)
    np.testing.assert_array_equal(none["age"], ages["age"])


@pytest.mark.parametrize(("entry", "place"), [(2, 0), (-3, 0), (5, 1), (2, 2), (0, 3), (0, -1)])
def test_the_graph_answers_no_request_that_an_output_does_not_have(
    entry: int, place: int, tmp_path: Path
) -> None:
    export_heads(tmp_path / "m.onnx")
    with pytest.raises(Exception, match="Gather"):
        run(tmp_path / "m.onnx", class_index=[[entry]], output_index=[[place]])


def test_a_single_name_gives_the_bytes_of_an_artifact_of_one_output(tmp_path: Path) -> None:
    export_heads(tmp_path / "a.onnx", output="age", labels=LABELS["age"], name="m")
    export_heads(tmp_path / "b.onnx", output=["age"], labels={"age": LABELS["age"]}, name="m")
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    record = json.loads(ir.load(tmp_path / "a.onnx").metadata_props["graftcam"])
    assert record["version"] == 1
    assert not {"outputs", "output_index"} & set(record)


def test_the_record_says_what_each_output_is(tmp_path: Path) -> None:
    spec = export_heads(tmp_path / "m.onnx", labels=LABELS).spec
    assert spec.outputs is not None
    found = [
        (one.score.output, one.score.classes, one.score.single_logit, one.score.activation,
         one.score.activated, one.labels)
        for one in spec.outputs
    ]  # fmt: skip
    assert found == [
        ("gender", 2, False, "softmax", True, LABELS["gender"]),
        ("age", 5, False, "softmax", False, LABELS["age"]),
        ("smile", 2, True, "sigmoid", False, None),
    ]
    assert (spec.version, spec.score, spec.labels) == (2, spec.outputs[0].score, LABELS["gender"])
    assert Spec.from_json(spec.to_json()) == spec
    assert spec.about(1).labels == LABELS["age"]


def test_records_that_contradict_themselves_are_refused(tmp_path: Path) -> None:
    record = json.loads(export_heads(tmp_path / "m.onnx").spec.to_json())
    outputs = record["outputs"]
    for change, message in (
        ({"version": 1}, "version 1 has outputs"),
        ({"version": 4}, "spec 4, this runtime supports up to 3; upgrade"),
        ({"outputs": outputs[:1]}, "do not fit each other"),
        ({"outputs": outputs[1:]}, "do not fit each other"),
        ({"outputs": [*outputs, outputs[0]]}, "do not fit each other"),
        ({"outputs": [{**outputs[0], "more": 1}]}, "unknown fields"),
        ({"output_index": None}, "do not fit each other"),
    ):
        with pytest.raises(SpecError, match=message):
            Spec.from_json(json.dumps({**record, **change}))


REFUSED: dict[str, tuple[dict[str, Any], type[GraftcamError], str]] = {
    "twice": ({"output": ["age", "age"]}, ScoreError, "named twice"),
    "unknown": ({"output": ["age", "ages"]}, ScoreError, "no output is called 'ages'.*gender"),
    "axis": ({"class_axis": 1}, ScoreError, "class_axis=1 is that of one output.*leave"),
    "offset": ({"class_offset": 0}, ScoreError, "class_offset=0 is that of one output"),
    "linear": ({"score": "linear"}, ScoreError, "linear score is not one of several outputs"),
    "positions": ({"output": ["age", "mask"]}, ScoreError, "'mask' has positions.*leave it out"),
    "positions, no layer": (
        {"output": ["age", "mask"], "layers": None}, ScoreError, "'mask' has positions",
    ),
    "labels": ({"labels": ["a", "b"]}, CaptureError, "several outputs are named.*'gender': "),
    "labels of none": ({"labels": {"mask": ["a"]}}, CaptureError, "labels has 'mask', and the"),
    "too few labels": (
        {"labels": {"age": ["a"]}}, CaptureError, "1 labels for 5 classes of output 'age'",
    ),
    "a layer of one output": (
        {"layers": "side"}, LayerError, "'side' does not lead to output 'gender'",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_what_does_not_go_together_is_refused_and_nothing_written(
    name: str, tmp_path: Path
) -> None:
    settings, error, message = REFUSED[name]
    with pytest.raises(error, match=message):
        export_heads(tmp_path / "m.onnx", **settings)
    assert not (tmp_path / "m.onnx").exists()


def test_the_automatic_layer_leads_to_every_output(tmp_path: Path) -> None:
    plain, module = write_plain(tmp_path / "plain.onnx"), seeded(ThreeHeads())
    for outputs, value, layer in ((["smile"], "side", "side"), (OUTPUTS, "features", "act")):
        assert candidates_of(plain, output=outputs)[0].name == value
        assert candidates_of(module, EXAMPLE, output=outputs)[0].name == layer
    found = candidates_of(plain, output=["smile", "age"])
    (fault,) = (one for one in found if one.name == "side")
    assert not fault.usable
    assert fault.reason == "not connected to the score (output age)"


def sources(path: Path) -> list[tuple[Any, Any]]:
    return [(seeded(ThreeHeads()), EXAMPLE), (write_plain(path / "plain.onnx"), None)]


@pytest.mark.parametrize("kind", [0, 1], ids=["module", "file"])
def test_every_output_is_proven(kind: int, tmp_path: Path) -> None:
    model, example = sources(tmp_path)[kind]
    report = export(
        model, tmp_path / "m.onnx", example, output=OUTPUTS, extras=["head", "input_gradients"],
        labels=LABELS, verify="full" if example is None else "quick",
    )  # fmt: skip
    assert report.verification.verdict == "pass"
    checks = report.verification.checks or {}
    assert example is not None or checks["determinism"] == "pass"
    for output in OUTPUTS:
        for tensor in ("gradients", "heatmap", "scores", "input_gradients"):
            assert f"{tensor} of {output}" in report.verification.errors


@pytest.mark.parametrize("kind", [0, 1], ids=["module", "file"])
def test_a_wrong_gradient_of_the_last_output_fails_the_proof(
    kind: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right: Callable[..., ir.Value] = several_outputs.signs

    def turned(emit: Any, ids: ir.Value, like: ir.Value) -> ir.Value:
        return emit.op("Neg", right(emit, ids, like))

    monkeypatch.setattr(several_outputs, "signs", turned)
    model, example = sources(tmp_path)[kind]
    with pytest.raises(VerificationError, match="gradients of smile: ") as caught:
        export(model, tmp_path / "m.onnx", example, output=OUTPUTS)
    assert "of gender" not in str(caught.value)
    assert not (tmp_path / "m.onnx").exists()


def test_a_request_that_mixes_outputs_is_compared_with_separate_ones(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    right: Callable[..., ir.Value] = several_outputs._seed

    def first_only(emit: Any, tables: Any, scores: Any, probable: Any, ids: Any, which: ir.Value,
                   scale: float) -> ir.Value:  # fmt: skip
        """Take the output of the first request for all of them."""
        first = emit.op("Slice", which, [0], [1], [1])
        every = emit.op("Expand", first, emit.op("Shape", which, shape=[2]))
        return right(emit, tables, scores, probable, ids, every, scale)

    monkeypatch.setattr(several_outputs, "_seed", first_only)
    with pytest.raises(VerificationError, match=r"output_index: .*asked for by itself"):
        export_heads(tmp_path / "m.onnx", verify="quick")


def test_files_of_labels_are_read_by_output(tmp_path: Path) -> None:
    names, odd = tmp_path / "names.txt", tmp_path / "age=5.txt"
    names.write_text("a\nb\n")
    odd.write_text("c\nd\n")
    assert labels_of_files([f"age={names}", f"gender={odd}"], ["gender", "age"]) == {
        "age": ["a", "b"],
        "gender": ["c", "d"],
    }
    assert labels_of_files([f"{names}"], ["age"]) == ["a", "b"]
    assert labels_of_files([f"age={names}"], ["age"]) == ["a", "b"]
    assert labels_of_files([f"{odd}"], [None]) == ["c", "d"]
    for given, message in (
        ([f"{names}"], "names none of the outputs 'gender', 'age'"),
        ([f"age={names}", f"age={odd}"], "or one again"),
        ([f"mask={names}"], "--labels gender=FILE"),
    ):
        with pytest.raises(CaptureError, match=message):
            labels_of_files(given, ["gender", "age"])
    with pytest.raises(CaptureError, match="one output is explained; give one file"):
        labels_of_files([f"{names}", f"{odd}"], ["age"])


def test_a_score_takes_names_in_a_tuple(tmp_path: Path) -> None:
    spec = export_heads(tmp_path / "m.onnx", score=Score(output=("age", "gender"))).spec
    assert spec.output_names == ["age", "gender"]


def test_a_proof_without_time_says_so(tmp_path: Path) -> None:
    with pytest.raises(UnprovenError, match="no time was left to run the model behind it"):
        export_heads(tmp_path / "m.onnx", output="age", verify=Verify(seconds=1e-4))
