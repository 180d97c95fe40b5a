"""Which output is the score, and which of its axes holds the classes, when nobody says it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
import pytest
import torch
from torch import nn

from graftcam import Explainer
from graftcam.exporter import Score, ScoreError, export
from graftcam.exporter.graph.infer_shapes import settle_extents
from graftcam.exporter.graph.inline import infer_shapes
from graftcam.exporter.locate.score import find_score
from graftcam.exporter.locate.torch_output_facts import score_of

# Body, outputs, number of labels; then the scored output, the axis and part of the reason.
CHOICES: dict[str, tuple[str, str, int | None, str, int, str]] = {
    "a softmax before a regression": (
        "box = MatMul(f, w4) z = MatMul(f, w2) p = Softmax<axis=1>(z)",
        "float[N, 4] box, float[N, 2] p", None,
        "p", 1, "p ['N', 2]: ends in Softmax; 1 other output"),
    "features that the scores are computed from": (
        "z = MatMul(f, w2)", "float[N, 8] f, float[N, 2] z", None, "z", 1, "1 other output"),
    "as many classes as labels": (
        "a = MatMul(f, w4) b = MatMul(f, w2)", "float[N, 4] a, float[N, 2] b", 2,
        "b", 1, "as many classes as labels"),
    "a name, where nothing else tells": (
        "pred_boxes = MatMul(f, w4) logits = MatMul(f, w2)",
        "float[N, 4] pred_boxes, float[N, 2] logits", None, "logits", 1, ""),
    "boxes in 0 to 1": (
        "z = MatMul(f, w4) pred_boxes = Sigmoid(z) logits = MatMul(f, w2)",
        "float[N, 4] pred_boxes, float[N, 2] logits", None, "logits", 1, ""),
    "a softmax over the last axis": (
        "z = MatMul(t, w2) p = Softmax<axis=2>(z)", "float[N, 16, 2] p", None,
        "p", 2, "ends in Softmax; classes along axis 2"),
    "the channels of a matrix product": (
        "z = MatMul(t, w2) p = Sigmoid(z)", "float[N, 16, 2] p", None,
        "p", 2, "classes along axis 2: the channels of the last MatMul"),
    "a convolution, laid out by place": (
        "m = Conv(x, k) s = Constant<value_ints=[0, 6, 16]>() r = Reshape(m, s) "
        "z = Transpose<perm=[0, 2, 1]>(r)", "float[N, 16, 6] z", None,
        "z", 2, "the channels of the last Conv"),
    "boxes and classes of a detector": (
        "m = Conv(x, k) s = Constant<value_ints=[0, 6, 16]>() r = Reshape(m, s) q = Sigmoid(r) "
        "z = Concat<axis=1>(r, q)", "float[N, 12, 16] z", None, "z", 1, "the last Conv"),
    "probabilities that are only moved": (
        "z = MatMul(f, w4) h = Softmax<axis=1>(z) s = Constant<value_ints=[0, 4]>() "
        "y = Reshape(h, s)", "float[N, 4] y", None, "y", 1, "ends in Softmax"),
    "what a file declares of its output is not true": (
        "z = MatMul(t, w2) y = Identity(z)", "float[N, 2] y", None, "y", 2, "classes along axis 2"),
    "labels decide between axes": (
        "z = MatMul(t, w4) y = Identity(z)", "float[N, 16, 4] y", 16,
        "y", 1, "labels along axis 1"),
    "one logit for each image": (
        "z = MatMul(f, w1) s = Constant<value_ints=[1]>() y = Squeeze(z, s)", "float[N] y", None,
        "y", 1, "y ['N']"),
}  # fmt: skip


def graph_of(body: str, outputs: str, inputs: str = "float[N, 3, 4, 4] x") -> ir.Graph:
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    g ({inputs}) => ({outputs})
    <float[8, 1] w1 = {{1, 2, 3, 4, 5, 6, 7, 8}}, float[6, 3, 1, 1] k = {{{_numbers(18)}}},
     float[8, 2] w2 = {{{_numbers(16)}}}, float[8, 4] w4 = {{{_numbers(32)}}},
     float[3, 8] w8 = {{{_numbers(24)}}}>
    {{ space = Constant<value_ints=[2, 3]>()  pooled = ReduceMean<keepdims=0>(x, space)
       f = MatMul(pooled, w8)
       tokens = Constant<value_ints=[0, 3, 16]>()  flat = Reshape(x, tokens)
       rows = Transpose<perm=[0, 2, 1]>(flat)  t = MatMul(rows, w8)  {body} }}"""
    model = infer_shapes(ir.serde.deserialize_model(onnx.parser.parse_model(text)))
    settle_extents(model, Path())
    return model.graph


def _numbers(count: int) -> str:
    return ", ".join(str((7 * i) % 5 - 2) for i in range(count))


@pytest.mark.parametrize("case", CHOICES.values(), ids=CHOICES)
def test_the_choice_follows_the_evidence_and_is_reported(
    case: tuple[str, str, int | None, str, int, str],
) -> None:
    body, outputs, labels, name, axis, reason = case
    found = find_score(graph_of(body, outputs), Score(), labels)
    assert (found.score.output, found.axis) == (name, axis)
    assert reason in found.reason


REFUSED: dict[str, tuple[str, str, Score, str]] = {
    "time before the batch": (
        "z = MatMul(t, w2) y = Transpose<perm=[1, 0, 2]>(z)", "float[16, N, 2] y", Score(),
        "has its batch along axis 1 and 16 entries along axis 0 (time first, perhaps)"),
    "the same, with the axis given": (
        "z = MatMul(t, w2) y = Transpose<perm=[1, 0, 2]>(z)", "float[16, N, 2] y",
        Score(class_axis=2), "export the model so that the batch comes first"),
    "positions only": (
        "z = MatMul(t, w1) s = Constant<value_ints=[0, 4, 4]>() y = Reshape(z, s)",
        "float[N, 4, 4] y", Score(), "positions only, no axis of classes; name the axis to take"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED.values(), ids=REFUSED)
def test_what_holds_no_classes_is_refused_with_what_was_seen(
    case: tuple[str, str, Score, str],
) -> None:
    body, outputs, score, message = case
    with pytest.raises(ScoreError) as caught:
        find_score(graph_of(body, outputs), score)
    assert message in str(caught.value)


def test_the_logits_are_moved_as_the_probabilities_are() -> None:
    body = (
        "z = MatMul(t, w4) p = Softmax<axis=2>(z) y = Transpose<perm=[0, 2, 1]>(p) "
        "s = Constant<value_ints=[0, 4, 4, 4]>() q = Reshape(y, s)"
    )
    found = find_score(graph_of(body, "float[N, 4, 4, 4] q"), Score())
    assert (found.score.activation, found.score.activated, found.axis) == ("softmax", True, 1)
    moves = []
    node = found.value.producer()
    while node is not None and node.op_type in ("Reshape", "Transpose"):
        moves.append(node.op_type)
        assert node.inputs[0] is not None
        node = node.inputs[0].producer()
    assert moves == ["Reshape", "Transpose"]
    assert node is not None
    assert node.op_type == "MatMul"


def test_boxes_before_probabilities_are_no_classes() -> None:
    body = "b = MatMul(t, w4) z = MatMul(t, w2) p = Sigmoid(z) y = Concat<axis=2>(b, p)"
    found = find_score(graph_of(body, "float[N, 16, 6] y"), Score())
    assert (found.score.classes, found.score.class_offset, found.axis) == (2, 4, 2)
    assert "4 other entries before the probabilities" in found.reason
    assert find_score(graph_of(body, "float[N, 16, 6] y"), Score(class_offset=0)).score.classes == 6


def test_boxes_are_found_through_cuts_joints_and_turns() -> None:
    """As YOLOX ends: levels are joined and turned, boxes decoded, and the rest is cut off."""
    body = (
        "b = MatMul(t, w4) o = MatMul(t, w1) so = Sigmoid(o) z = MatMul(t, w2) p = Sigmoid(z) "
        "level = Concat<axis=2>(b, so, p) turned = Transpose<perm=[0, 2, 1]>(level) "
        "all = Transpose<perm=[0, 2, 1]>(turned) zero = Constant<value_ints=[0]>() "
        "four = Constant<value_ints=[4]>() end = Constant<value_ints=[7]>() "
        "two = Constant<value_ints=[2]>() box = Slice(all, zero, four, two) "
        "decoded = Exp(box) rest = Slice(all, four, end, two) y = Concat<axis=2>(decoded, rest)"
    )
    found = find_score(graph_of(body, "float[N, 16, 7] y"), Score())
    assert (found.score.classes, found.score.class_offset, found.axis) == (2, 5, 2)


class Heads(nn.Module):
    def forward(self, x: torch.Tensor) -> dict[str, torch.Tensor]:
        rows = x.flatten(2).transpose(1, 2)
        return {"features": rows.mean(1), "table": rows.softmax(2), "p": rows.mean(1).softmax(1)}


def test_a_module_is_judged_by_the_same_evidence() -> None:
    x = torch.rand(2, 3, 4, 4, requires_grad=True)
    result = Heads()(x)
    table, reason = score_of(result, Score(), 2)
    assert table is result["p"]
    assert reason == "p [2, 3]: ends in Softmax; 2 other outputs"
    moved, _ = score_of(result, Score(output="table"), 2)
    assert torch.equal(moved, result["table"].movedim(2, 1))


@pytest.mark.parametrize("axis", [1, -1])
def test_boxes_before_probabilities_are_no_classes_of_a_module_either(axis: int) -> None:
    x = torch.rand(2, 6, 6, requires_grad=True)
    boxes, classes = x.narrow(axis, 0, 4) * 2, x.narrow(axis, 4, 2).sigmoid()
    table, _ = score_of(torch.cat([boxes, classes], axis), Score(class_axis=axis), 2)
    assert torch.equal(table, classes.movedim(axis, 1))


class Squeezed(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Conv2d(3, 4, 3), nn.Linear(4, 1)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(self.stem(x).relu().mean((2, 3))).squeeze(1)


def test_one_logit_for_each_image_explains_both_classes(tmp_path: Path) -> None:
    """Also of a file whose last Squeeze takes the batch's axis away where there is one image."""
    torch.manual_seed(0)
    path = tmp_path / "squeezed.onnx"
    torch.onnx.export(
        Squeezed().eval(), (torch.rand(2, 3, 8, 8),), path, dynamo=False, opset_version=13,
        input_names=["x"], output_names=["y"], dynamic_axes={"x": {0: "N"}, "y": {0: "N"}},
    )  # fmt: skip
    model = onnx.load(path)
    squeeze = next(node for node in model.graph.node if node.op_type == "Squeeze")
    del squeeze.input[1:]  # all axes of one entry
    onnx.save(model, path)
    report = export(path, tmp_path / "explained.onnx")
    assert (report.spec.score.single_logit, report.spec.score.classes) == (True, 2)
    for images in (1, 3):
        x = np.random.default_rng(0).random((images, 3, 8, 8), np.float32)
        scores = Explainer(tmp_path / "explained.onnx").run(x, [[0, 1]])["scores"]
        assert scores.shape == (images, 2)
        assert np.array_equal(scores[:, 0], -scores[:, 1])
        logits = onnxruntime.InferenceSession(path).run(None, {"x": x})[0]
        assert np.allclose(scores[:, 1], logits.reshape(-1), atol=1e-6)
