"""Every kind of score against PyTorch autograd, computed here from the score's definition."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
import torch
from torch import nn
from torch.nn import functional

from graftcam.exporter import Score, ScoreError, TorchExport, VerificationError, export
from graftcam.exporter.verify.checks.finite import verify_file
from graftcam.exporter.verify.runs.artifact import Artifact
from graftcam.runtime.spec import Spec
from support.exports import Made, to_onnx
from support.images import noise
from support.nets import Dense, Ending, Flat, Segmenter, Tiny, Tokens, seeded
from support.nets_scores import Detector, Heads
from support.scores import (
    EXAMPLE,
    SIZE,
    TOLERANCE,
    autograd,
    holds,
    leaves,
    made,
    picked,
    spoil,
    verified,
)

File = tuple[Path, nn.Module]


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> File:
    """`Tiny` as a file, and itself."""
    model = seeded(Tiny())
    return to_onnx(model, tmp_path_factory.mktemp("tiny") / "plain.onnx", SIZE), model


CHANCES = ("probability", "log_probability")
ENDINGS: dict[str, tuple[nn.Module, str | None, str]] = {
    "softmax by default": (nn.Identity(), None, "softmax"),
    "softmax in the graph": (nn.Softmax(1), None, "softmax"),
    "log-softmax in the graph": (nn.LogSoftmax(1), None, "softmax"),
    "sigmoid as given": (nn.Identity(), "sigmoid", "sigmoid"),
    "sigmoid in the graph": (nn.Sigmoid(), None, "sigmoid"),
}


@pytest.mark.parametrize(("ending", "given", "activation"), ENDINGS.values(), ids=ENDINGS)
def test_probabilities_and_their_logarithms_are_those_of_autograd(
    tmp_path: Path, ending: nn.Module, given: str | None, activation: str
) -> None:
    model, x = seeded(Ending(ending)), noise(2, *SIZE)
    source = to_onnx(model, tmp_path / "plain.onnx", SIZE)

    def probabilities(result: torch.Tensor) -> torch.Tensor:
        if isinstance(ending, nn.LogSoftmax):
            result = result.exp()
        elif isinstance(ending, nn.Identity):
            result = result.softmax(1) if activation == "softmax" else result.sigmoid()
        return picked(result if kind == "probability" else result.log(), index)

    for kind in CHANCES:
        artifact = made(source, model, layers="conv2", score=Score(kind, activation=given))
        assert (artifact.spec.score.kind, artifact.spec.score.activation) == (kind, activation)
        verified(artifact)
        for ids in ([], [2], [4, 0, 1]):
            index = np.array([ids] * 2, np.int64).reshape(2, -1)
            found = artifact.run({"x": x, "class_index": index})
            assert found["classes"].tolist() == index.tolist()
            holds(found, *autograd(model, "conv2", x, probabilities))


def test_a_single_logits_two_classes_have_probabilities_that_sum_to_one(tmp_path: Path) -> None:
    model, x, index = seeded(Tiny(1)), noise(2, *SIZE), np.array([[1, 0]])
    source = to_onnx(model, tmp_path / "plain.onnx", SIZE)

    def both(result: torch.Tensor) -> torch.Tensor:
        table = torch.cat([result, -result], 1)
        return table.sigmoid() if kind == "probability" else functional.logsigmoid(table)

    for kind in CHANCES:
        artifact = made(source, model, layers="conv2", score=kind)
        verified(artifact)
        found = artifact.run({"x": x, "class_index": index})
        holds(found, *autograd(model, "conv2", x, both))
        if kind == "probability":
            np.testing.assert_allclose(found["scores"].sum(1), 1, rtol=1e-6)
        ranked = artifact.run({"x": x})["classes"][:, 0]
        np.testing.assert_array_equal(ranked, model(torch.from_numpy(x)).detach()[:, 0] > 0)


@pytest.mark.parametrize(("form", "classes"), [("maps", 5), ("softmax", 5), ("maps", 1)])
def test_probabilities_of_positions_are_summed_over_the_region(
    tmp_path: Path, form: str, classes: int
) -> None:
    model, x, index = seeded(Dense(form, classes)), noise(2, *SIZE), np.array([[1, 0], [0, 1]])
    region = np.random.default_rng(0).random((2, 2, 4, 6), np.float32)
    source = to_onnx(model, tmp_path / "plain.onnx", SIZE)

    def summed(result: torch.Tensor) -> torch.Tensor:
        table = torch.cat([-result, result], 1).sigmoid() if classes == 1 else result
        if classes > 1 and form == "maps":
            table = table.softmax(1)
        table = table if kind == "probability" else table.log()
        rows = torch.stack([table[n, index[n]] for n in range(2)])
        return (rows * torch.from_numpy(region)).sum((2, 3))

    for kind in CHANCES:
        artifact = made(source, model, layers="stem", score=kind)
        verified(artifact)
        found = artifact.run({"x": x, "class_index": index, "region": region})
        holds(found, *autograd(model, "stem", x, summed))
    none = artifact.run({"x": x, "class_index": np.zeros((1, 0), np.int64)})
    assert none["gradients"].shape == (2, 0, 8, 4, 6)
    best = artifact.run({"x": x})
    sums = [artifact.run({"x": x, "class_index": np.array([[c]])})["scores"][:, 0]
            for c in range(artifact.spec.score.classes)]  # fmt: skip
    np.testing.assert_array_equal(best["classes"][:, 0], np.argmax(sums, axis=0))


@pytest.mark.parametrize("activation", ["softmax", "sigmoid"])
def test_where_the_model_is_sure_a_gradient_is_left(tmp_path: Path, activation: str) -> None:
    model, x, index = seeded(Tiny()), noise(2, *SIZE), np.array([range(6)] * 2)
    with torch.no_grad():
        model.head.weight.mul_(8)  # pyright: ignore
        model.head.bias.copy_(torch.tensor([30.0, -30.0, 0.0, 3.0, -3.0, 60.0]))  # pyright: ignore
    # From logits of 17 on, 1 - p is lost in float32.
    assert float(model(torch.from_numpy(x)).detach().max()) > 25
    source = to_onnx(model, tmp_path / "plain.onnx", SIZE)

    def score(result: torch.Tensor) -> torch.Tensor:
        softmax = activation == "softmax"
        logs = result.log_softmax(1) if softmax else functional.logsigmoid(result)
        return logs.exp() if kind == "probability" else logs

    for kind in CHANCES:
        artifact = made(source, model, layers="conv2", score=Score(kind, activation=activation))
        verified(artifact)
        found = artifact.run({"x": x, "class_index": index})
        _, truth = autograd(model, "conv2", x, score)
        for n, k in np.ndindex(2, 6):
            size = np.abs(truth[n, k]).max()
            if size > 1e-30:  # below it float32 itself ends
                error = np.abs(found["gradients"][n, k] - truth[n, k]).max()
                assert error < 1e-3 * size, (n, k)  # a logit of 60 has four digits behind the point


def test_ranks_follow_the_logits_where_probabilities_tie(tmp_path: Path) -> None:
    model = seeded(Tiny())
    with torch.no_grad():
        model.head.bias.copy_(torch.tensor([30.0, 50.0, 40.0, 0.0, 0.0, 0.0]))  # pyright: ignore
    source = to_onnx(model, tmp_path / "plain.onnx", SIZE)
    score = Score("probability", activation="sigmoid")
    artifact = made(source, model, layers="conv2", score=score, verify="off")
    found = artifact.run({"x": noise(2, *SIZE), "class_index": np.array([[-1, -2, -3]])})
    assert found["classes"].tolist() == [[1, 2, 0]] * 2
    np.testing.assert_array_equal(found["scores"], 1)


def test_a_model_in_float16_keeps_its_gradients(tmp_path: Path) -> None:
    model = seeded(Tiny()).half()
    source = to_onnx(model, tmp_path / "plain.onnx", SIZE)
    x = noise(2, *SIZE).astype(np.float16)
    for kind in (*CHANCES, "linear", "channel"):
        artifact = made(source, model, layers=["conv2", "relu1"], score=kind, verify="off")
        selection = {"score_weights": np.eye(6, dtype=np.float32)[None, :2]}
        if kind != "linear":
            selection = {"class_index": np.array([[0, 1]])}
        slopes = artifact.run({"x": x, **selection})["gradients.relu1"]
        assert slopes.dtype == np.float32
        assert np.isfinite(slopes).all()
        assert (np.abs(slopes).max((2, 3, 4)) > 0).all()


@pytest.mark.parametrize(
    ("model", "layer"), [(Ending(nn.Softmax(1)), "conv2"), (Flat(), "body.1")],
    ids=["pooled, behind a softmax", "flat"],
)  # fmt: skip
def test_one_hot_weights_explain_as_their_class_does(
    tmp_path: Path, model: nn.Module, layer: str
) -> None:
    source = to_onnx(seeded(model), tmp_path / "plain.onnx")
    by_class = made(source, model, layers=layer)
    by_class = Made(model, by_class.path.rename(tmp_path / "classes.onnx"), by_class.spec)
    linear = made(source, model, layers=layer, score="linear")
    spec = linear.spec
    assert (spec.class_index, spec.classes, spec.score_weights) == (None, None, "score_weights")
    assert Spec.from_json(spec.to_json()) == spec
    for count, ids in itertools.product([1, 3], ([], [1], [2, 0, 4])):
        x = noise(count)
        weights = np.eye(spec.score.classes, dtype=np.float32)[np.array(ids, np.int64)]
        expected = by_class.run({"x": x, "class_index": np.array([ids], np.int64).reshape(1, -1)})
        for rows in (1, count):
            fed = np.repeat(weights[None], rows, axis=0)
            found = linear.run({"x": x, "score_weights": fed})
            for name in ("scores", "activations", "gradients", "heatmap"):
                assert found[name].shape == expected[name].shape
                np.testing.assert_allclose(found[name], expected[name], rtol=1e-5, atol=1e-6)


def test_each_image_can_have_weights_of_its_own_and_a_contrast_is_a_difference(tiny: File) -> None:
    artifact = made(*tiny, layers="conv2", score="linear")
    x = noise(2, *SIZE)
    weights = np.zeros((2, 2, 6), np.float32)
    weights[0, :, 1], weights[0, :, 3] = 1, -1
    weights[1] = np.random.default_rng(0).standard_normal((2, 6))
    found = artifact.run({"x": x, "score_weights": weights})

    def score(result: torch.Tensor) -> torch.Tensor:
        return torch.einsum("nc,nkc->nk", result, torch.from_numpy(weights).double())

    holds(found, *autograd(tiny[1], "conv2", x, score))


LINEAR: dict[str, tuple[nn.Module, str, int, dict[str, Any]]] = {
    "class maps": (Segmenter(), "stem", 0, {}),
    "an embedding of rank 3": (Heads(), "stem", 2, {}),
    "probabilities, as they are": (Ending(nn.Softmax(1)), "conv2", 0, {"activation": "none"}),
}


@pytest.mark.parametrize(("model", "layer", "place", "options"), LINEAR.values(), ids=LINEAR)
def test_a_linear_score_takes_outputs_of_any_shape(
    tmp_path: Path, model: nn.Module, layer: str, place: int, options: dict[str, Any]
) -> None:
    source, x = to_onnx(seeded(model), tmp_path / "plain.onnx", SIZE), noise(2, *SIZE)
    output = onnx.load(source).graph.output[place].name
    artifact = made(source, model, layers=layer, score=Score("linear", output, **options))
    verified(artifact)
    shape = leaves(model(torch.from_numpy(x)))[place].shape[1:]
    weights = np.random.default_rng(0).standard_normal((1, 2, *shape)).astype(np.float32)

    def score(result: Any) -> torch.Tensor:
        scored = leaves(result)[place].flatten(1)
        return scored @ torch.from_numpy(weights[0]).double().flatten(1).T

    found = artifact.run({"x": x, "score_weights": weights})
    holds(found, *autograd(model, layer, x, score))
    none = artifact.run({"x": x, "score_weights": weights[:, :0]})
    assert none["gradients"].shape[:2] == (2, 0)


def test_a_channel_is_the_mean_over_its_places_or_over_the_region(tiny: File) -> None:
    artifact = made(*tiny, layers=["conv2", "relu1"], score="channel")
    verified(artifact)
    spec = artifact.spec
    assert (spec.score.kind, spec.score.classes) == ("channel", 12)
    assert spec.score.output == "activations.conv2"
    x, index = noise(2, *SIZE), np.array([[3, 7]] * 2)
    found = artifact.run({"x": x, "class_index": index})
    values = found["activations.conv2"]
    means = values.mean((2, 3))
    np.testing.assert_allclose(found["scores"], np.take_along_axis(means, index, 1), rtol=1e-5)
    assert artifact.run({"x": x})["classes"][:, 0].tolist() == means.argmax(1).tolist()
    unit = np.zeros((1, 1, 4, 6), np.float32)
    unit[..., 1, 2] = 1
    part = np.zeros((1, 1, 4, 6), np.float32)
    part[..., :2, 1:4] = 1
    for region in (np.ones_like(unit), unit, part, 5 * part):
        weights = region / region.sum()

        def score(layer: torch.Tensor, weights: np.ndarray = weights) -> torch.Tensor:
            return (layer[:, [3, 7]] * torch.from_numpy(weights).double()).sum((2, 3))

        found = artifact.run({"x": x, "class_index": index, "region": region})
        scores, slopes = autograd(tiny[1], "relu1", x, score, watch="conv2")
        np.testing.assert_allclose(found["scores"], scores, **TOLERANCE)
        np.testing.assert_allclose(found["gradients.relu1"], slopes, **TOLERANCE)
        own = np.zeros((2, 2, 12, 4, 6))
        own[:, 0, 3] = own[:, 1, 7] = weights[0, 0]
        np.testing.assert_allclose(found["gradients.conv2"], own, **TOLERANCE)
    none = artifact.run({"x": x, "class_index": np.zeros((1, 0), np.int64)})
    assert none["heatmap.relu1"].shape == (2, 0, *SIZE)


def test_a_channel_of_tokens_has_their_grid(tmp_path: Path) -> None:
    model = seeded(Tokens())
    source = to_onnx(model, tmp_path / "plain.onnx", SIZE)
    artifact = made(source, model, layers="norm", score="channel")
    verified(artifact)
    x, index = noise(2, *SIZE), np.array([[5, -1]])
    found = artifact.run({"x": x, "class_index": index})
    means = found["activations"].mean((2, 3))
    assert found["activations"].shape == (2, 8, 2, 3)
    np.testing.assert_allclose(found["scores"][:, 0], means[:, 5], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["scores"][:, 1], means.max(1), rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(found["gradients"][:, 0, 5], 1 / 6, rtol=1e-6)


FORMS: dict[str, dict[str, Any]] = {
    "rows": {"class_axis": 2, "class_offset": 4},
    "chances": {"class_axis": 1, "class_offset": 4},
    "turned": {"class_axis": -1, "class_offset": 4},
}


@pytest.mark.parametrize(("form", "options"), FORMS.items(), ids=FORMS)
def test_a_detectors_classes_are_found_behind_its_boxes(
    tmp_path: Path, form: str, options: dict[str, Any]
) -> None:
    model = seeded(Detector(form))
    source = to_onnx(model, tmp_path / "plain.onnx", SIZE)
    artifact = made(source, model, layers="stem", score=Score(activation="sigmoid", **options))
    verified(artifact)
    score = artifact.spec.score
    assert (score.classes, score.class_offset) == (3, 4)
    assert score.class_axis == (None if form == "chances" else 2)
    assert score.activated == (form != "rows")
    x, index = noise(2, *SIZE), np.array([[1, -1]] * 2)
    region = np.zeros((1, 1, 24), np.float32)
    region[..., 7:9] = 1
    found = artifact.run({"x": x, "class_index": index, "region": region})

    def logits(result: torch.Tensor) -> torch.Tensor:
        rows = (result if form == "chances" else result.transpose(1, 2))[:, 4:]
        table = rows if form == "rows" else rows.logit()
        sums = table[:, :, 7:9].sum(2)
        assert found["classes"][:, 1].tolist() == sums.argmax(1).tolist()
        return torch.stack([sums[:, 1], sums.amax(1)], 1)

    holds(found, *autograd(model, "stem", x, logits))


def test_packed_anchors_are_explained_by_the_channels_number(tmp_path: Path) -> None:
    # [N, anchors * (5 + classes), h, w]: class 2 of anchor 1 is channel 1 * 8 + 5 + 2.
    model = seeded(Detector("packed"))
    artifact = made(to_onnx(model, tmp_path / "plain.onnx", SIZE), model, layers="neck")
    x, index = noise(2, *SIZE), np.array([[15]] * 2)
    region = np.zeros((1, 1, 4, 6), np.float32)
    region[..., 1:3, 2:4] = 1
    found = artifact.run({"x": x, "class_index": index, "region": region})
    holds(found, *autograd(model, "neck", x, lambda y: y[:, 15:16, 1:3, 2:4].sum((2, 3))))


def test_wrong_gradients_fail_both_verifications(tiny: File) -> None:
    for kind in ("probability", "linear", "channel"):
        artifact = made(*tiny, layers=["conv2", "relu1"], score=kind)
        spoil(artifact.path)
        with pytest.raises(VerificationError, match=r"gradients\.relu1: error 1\.0e-02"):
            verified(artifact)
        opened = Artifact(artifact.path, artifact.spec)
        found = verify_file(opened, ir.load(artifact.path), tiny[0])
        with pytest.raises(VerificationError, match=r"gradients\.relu1: error"):
            found.raise_on_failure()


def test_any_of_several_heads_can_be_scored_and_decides_the_layer(tmp_path: Path) -> None:
    model, names = seeded(Heads()), ["late", "early", "embedding"]
    for output, layer, classes in (("late", "deep", 5), ("early", "act", 4)):
        path, trace = tmp_path / f"{output}.onnx", TorchExport(output_names=names)
        report = export(model, path, EXAMPLE, score=Score(output=output), trace=trace)
        assert (report.spec.score.output, report.spec.score.classes) == (output, classes)
        assert list(report.layers) == [layer]


REFUSALS: dict[str, tuple[dict[str, Any], str]] = {
    "no activation": (
        {"score": Score("probability", activation="none")}, "give activation softmax or sigmoid"),
    "channel without a layer": ({"score": "channel"}, "name the layer with `layers`"),
    "channel of an output": (
        {"score": Score("channel", output="linear"), "layers": "conv2"}, "name the layer"),
    "too large an offset": (
        {"score": Score(class_offset=6)}, "holds no class after the first 6 entries"),
    "no such axis": ({"score": Score(class_axis=2)}, "with its classes along axis 2"),
    "linear with an offset": (
        {"score": Score("linear", class_offset=2)}, "weighs the whole output"),
    "the batch's axis": ({"score": Score(class_axis=0)}, "with its classes along axis 0"),
}  # fmt: skip


@pytest.mark.parametrize(("options", "message"), REFUSALS.values(), ids=REFUSALS)
def test_what_does_not_fit_is_refused_and_nothing_written(
    tiny: File, tmp_path: Path, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(ScoreError, match=message):
        export(tiny[0], tmp_path / "m.onnx", **options)
    assert list(tmp_path.iterdir()) == []
