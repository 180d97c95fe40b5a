"""Bad input: one clear line, and nothing written."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from onnx import TensorProto, helper
from torch import nn

from graftcam.exporter import (
    CaptureError,
    LayerError,
    Score,
    ScoreError,
    TorchExport,
    UnsupportedError,
    VerificationError,
    WriteError,
    export,
)
from support.exports import to_onnx
from support.nets import Branches, Flat, Sorted, Tiny, Tokens, Undecided, seeded
from support.rules import louder

EXAMPLE = (torch.zeros(1, 3, 8, 8),)

REFUSALS: dict[str, tuple[type[nn.Module], dict[str, Any], type[Exception], str]] = {
    "unknown layer": (Tiny, {"layers": "relu3"}, LayerError, r"'relu3'; did you mean relu2, relu1"),
    "layer named twice": (Tiny, {"layers": ["relu1", "relu1"]}, LayerError, "named twice"),
    "layer not on the way": (Branches, {"layers": "side"}, LayerError, "not connected to the"),
    "layer never called": (Branches, {"layers": "unused"}, LayerError, "not called"),
    "layer gives a tuple": (Branches, {"layers": "pair"}, LayerError, "returns a tuple, not a"),
    "layer without space": (Tiny, {"layers": "head"}, LayerError, r"needs \[batch, channels"),
    "unknown output": (Tiny, {"score": Score(output="probs")}, ScoreError, "no output is called"),
    "too few labels": (Tiny, {"labels": ["a", "b"]}, CaptureError, "2 labels for 6 classes"),
    "no example": (Tiny, {"example_inputs": None}, CaptureError, "example_inputs are missing"),
    "output names": (
        Tiny,
        {"trace": TorchExport(output_names=["a", "b"])},
        CaptureError,
        "2 output names for 1",
    ),
    "fewer output names than outputs": (
        Branches,
        {"score": Score(output="b"), "trace": TorchExport(output_names=["a"])},
        ScoreError,
        "1 output names for 2 outputs; give one for each",
    ),
}


@pytest.mark.parametrize(("kind", "options", "error", "message"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_are_one_clear_line_and_leave_no_file(
    tmp_path: Path,
    kind: type[nn.Module],
    options: dict[str, Any],
    error: type[Exception],
    message: str,
) -> None:
    arguments = {"example_inputs": EXAMPLE, **options}
    with pytest.raises(error, match=message) as caught:
        export(seeded(kind()), tmp_path / "m.onnx", verify="off", **arguments)
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_all_operators_without_a_rule_are_listed_at_once_with_their_place(tmp_path: Path) -> None:
    with pytest.raises(UnsupportedError) as caught:
        export(seeded(Undecided()), tmp_path / "m.onnx", EXAMPLE, layers="stem")
    found = [re.match(r"\w+", obstacle) for obstacle in caught.value.obstacles]
    assert [match.group() for match in found if match] == ["If", "Unique"]
    assert all("no gradient rule" in obstacle for obstacle in caught.value.obstacles)
    assert list(tmp_path.iterdir()) == []


def test_the_last_token_layer_that_only_the_class_token_leaves_is_refused(tmp_path: Path) -> None:
    report = export(seeded(Tokens()), tmp_path / "m.onnx", EXAMPLE)
    assert list(report.layers) == ["norm"]
    reasons = {candidate.name: candidate.reason for candidate in report.candidates}
    assert reasons["after"] == "the score's gradient is zero at every place"


def test_a_layer_that_sorts_its_tokens_is_refused(tmp_path: Path) -> None:
    model, images = seeded(Sorted()), (torch.zeros(1, 3, 24, 16),)
    with pytest.raises(LayerError, match=r"'norm' \[batch x 24 x 8\]: its places are not where"):
        export(model, tmp_path / "m.onnx", images, layers="norm")
    assert list(tmp_path.iterdir()) == []
    assert list(export(model, tmp_path / "m.onnx", images).layers) == ["after"]


def test_pools_are_passed_over_by_the_automatic_choice(tmp_path: Path) -> None:
    report = export(seeded(Flat()), tmp_path / "m.onnx", EXAMPLE)
    assert list(report.layers) == ["body.1"]
    reasons = {candidate.name: candidate.reason for candidate in report.candidates}
    assert reasons["body"] == "MaxPool2d computes no features of its own"


@pytest.mark.parametrize("operator", ["Conv", "Relu"])
def test_a_wrong_rule_fails_verification_and_leaves_no_file(
    tmp_path: Path, operator: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    louder(monkeypatch, operator, "Identity" if operator == "Relu" else operator)
    with pytest.raises(VerificationError, match="gradients: error"):
        export(seeded(Tiny()), tmp_path / "m.onnx", EXAMPLE, layers="relu1")
    assert list(tmp_path.iterdir()) == []


def test_a_wrong_rule_fails_finite_differences_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plain = to_onnx(seeded(Tiny()), tmp_path / "plain.onnx")
    report = export(plain, tmp_path / "m.onnx", layers="relu1")
    assert report.verification.reference == "finite-differences"
    louder(monkeypatch, "Conv")
    with pytest.raises(VerificationError, match="finite differences"):
        export(plain, tmp_path / "wrong.onnx", layers="relu1")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["m.onnx", "plain.onnx"]


def test_a_failed_export_leaves_the_earlier_file_as_it_was(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    path.write_bytes(b"earlier")
    with pytest.raises(LayerError, match="'nothing'"):
        export(seeded(Tiny()), path, EXAMPLE, layers="nothing")
    assert path.read_bytes() == b"earlier"


def test_an_unwritable_place_is_refused_before_any_work(tmp_path: Path) -> None:
    (tmp_path / "nowhere").write_text("a file")
    with pytest.raises(WriteError, match=r"cannot write .*nowhere"):
        export(seeded(Tiny()), tmp_path / "nowhere" / "m.onnx", EXAMPLE)


def test_a_missing_folder_is_made_for_an_artifact_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "m.onnx"
    with pytest.raises(LayerError):
        export(seeded(Tiny()), path, EXAMPLE, layers="nothing")
    assert not path.parent.exists()
    export(seeded(Tiny()), path, EXAMPLE, verify="off")
    assert path.is_file()


def test_a_model_that_pytorch_cannot_export_quotes_pytorch(tmp_path: Path) -> None:
    class Branching(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.conv(x).mean((2, 3))
            return y if y.sum() > 0 else -y

    with pytest.raises(CaptureError, match="PyTorch cannot export this model: "):
        export(Branching(), tmp_path / "m.onnx", EXAMPLE, layers="conv")


def test_files_that_are_no_onnx_are_refused(tmp_path: Path) -> None:
    (tmp_path / "text.onnx").write_text("hello, this is no protobuf at all")
    with pytest.raises(CaptureError, match=r"cannot read text\.onnx as ONNX"):
        export(tmp_path / "text.onnx", tmp_path / "m.onnx")
    with pytest.raises(CaptureError, match=r"no ONNX file .*missing\.onnx; give"):
        export(tmp_path / "missing.onnx", tmp_path / "m.onnx")


def test_an_artifact_is_not_grafted_twice(tmp_path: Path) -> None:
    export(seeded(Tiny()), tmp_path / "m.onnx", EXAMPLE, verify="off")
    with pytest.raises(CaptureError, match=r"m\.onnx is a graftcam artifact already"):
        export(tmp_path / "m.onnx", tmp_path / "twice.onnx")


def test_a_file_without_class_scores_is_refused_with_what_it_has(tmp_path: Path) -> None:
    x = helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N"])
    y = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N"])
    graph = helper.make_graph([helper.make_node("Relu", ["x"], ["y"])], "g", [x], [y])
    onnx.save(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)]), tmp_path / "a.onnx"
    )
    with pytest.raises(ScoreError, match=r"\[batch, classes\].*y \['N'\]"):
        export(tmp_path / "a.onnx", tmp_path / "m.onnx")


def test_each_operator_without_a_gradient_has_one_line_whatever_its_name() -> None:
    error = UnsupportedError(["Loop 'a\nError: forged'", "If 'b'"], later="c\x1b[2J")
    assert str(error).split("\n") == [
        "2 operators have no gradient between the layer and the score (choose a later layer such "
        r"as 'c\x1b[2J', see `graftcam layers`):",
        r"  Loop 'a\nError: forged'",
        "  If 'b'",
    ]
