"""Outputs with positions: the score is a sum over the region, against PyTorch autograd."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from graftcam.exporter import (
    Score,
    ScoreError,
    TorchExport,
    VerificationError,
    candidates_of,
    export,
)
from graftcam.exporter.verify.checks.autograd import verify_module
from graftcam.exporter.verify.runs.artifact import Artifact
from graftcam.runtime.spec import METADATA_KEY
from support.exports import Made, make, to_onnx
from support.images import noise
from support.nets import Dense, Segmenter, Tiny, seeded
from support.sessions import open_session, results

# float32 against float64 on networks of a few layers: rounding only, no kink is near.
TOLERANCE = {"rtol": 2e-4, "atol": 5e-6}
SIZE = (8, 12)
EXAMPLE = (torch.zeros(1, 3, *SIZE),)


def made(path: Path, model: nn.Module, **options: Any) -> Made:
    return make(model, path, SIZE, **{"layers": "stem"} | options)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Made:
    folder = tmp_path_factory.mktemp("segmenter")
    return made(folder / "m.onnx", Segmenter(), layers=["stem", "mix", "maps"])


def masks(*shape: int) -> np.ndarray:
    return np.random.default_rng(2).random((*shape, *SIZE), np.float32)


def test_the_region_is_an_optional_input_whose_default_takes_no_room(segmenter: Made) -> None:
    graph = onnx.load(segmenter.path).graph
    assert [value.name for value in graph.input] == ["x", "class_index", "region"]
    (default,) = (tensor for tensor in graph.initializer if tensor.name == "region")
    np.testing.assert_array_equal(onnx.numpy_helper.to_array(default), np.ones((1, 1, 1, 1)))
    opened = open_session(segmenter.path)
    assert [value.name for value in opened.get_inputs()] == ["x"]
    optional = opened.get_overridable_initializers()
    assert [value.name for value in optional] == ["class_index", "region"]
    assert optional[1].type == "tensor(float)"
    assert segmenter.spec.region == "region"


def test_a_caller_that_knows_nothing_gets_the_class_with_the_largest_sum(segmenter: Made) -> None:
    x = noise(3, *SIZE)
    found = segmenter.run({"x": x})
    expected = segmenter.model(torch.from_numpy(x))["out"].detach().numpy()
    np.testing.assert_allclose(found["out"], expected, **TOLERANCE)
    sums = expected.sum((2, 3))
    assert found["classes"].tolist() == sums.argmax(1)[:, None].tolist()
    np.testing.assert_allclose(found["scores"][:, 0], sums.max(1), **TOLERANCE)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("index", [[[]], [[2]], [[4, -1, 0, -2, -5]]], ids=["K0", "K1", "K5"])
@pytest.mark.parametrize("rows", ["shared", "own"])
@pytest.mark.parametrize("region", ["default", "1,1", "N,1", "1,K", "N,K"])
def test_every_tensor_equals_autograd_for_all_batches_class_counts_and_regions(
    segmenter: Made, count: int, index: list[list[int]], rows: str, region: str
) -> None:
    x = noise(count, *SIZE)
    class_index = np.array(index, np.int64).reshape(1, -1)
    if rows == "own":
        class_index = np.repeat(class_index, count, axis=0)
    k = class_index.shape[1]
    feeds = {"x": x, "class_index": class_index}
    weights = np.ones((1, 1, *SIZE), np.float32)
    if region != "default":
        shape = [{"1": 1, "N": count, "K": k}[letter] for letter in region.split(",")]
        feeds["region"] = weights = masks(*shape)
    found = segmenter.run(feeds)
    maps = segmenter.model(torch.from_numpy(x))["out"].detach().numpy()
    whole = np.broadcast_to(weights, (count, k, *SIZE))
    sums = np.einsum("ncyx,nkyx->nkc", maps, whole)
    ranked = (-sums).argsort(axis=2)
    class_index = np.broadcast_to(class_index, (count, k))
    depth = np.maximum(-class_index - 1, 0)[:, :, None]
    ids = np.where(class_index < 0, np.take_along_axis(ranked, depth, axis=2)[:, :, 0], class_index)
    assert found["classes"].tolist() == ids.tolist()
    truth = segmenter.check(found, x, whole, **TOLERANCE)
    for layer in segmenter.spec.layers:
        shape = (count, k, *truth.activations[layer.name].shape[1:])
        assert found[layer.gradients].shape == shape


def test_ranks_follow_each_classes_own_region(segmenter: Made) -> None:
    x = noise(2, *SIZE)
    maps = segmenter.run({"x": x})["out"]
    region = np.zeros((2, 3, *SIZE), np.float32)
    places = [[(0, 0), (3, 7), (7, 11)], [(5, 2), (0, 11), (4, 4)]]
    for row, k in np.ndindex(2, 3):
        region[(row, k, *places[row][k])] = 1
    found = segmenter.run({"x": x, "class_index": np.array([[-1, -1, -1]]), "region": region})
    expected = [[int(maps[(n, slice(None), *p)].argmax()) for p in places[n]] for n in range(2)]
    assert found["classes"].tolist() == expected
    assert len(set(np.ravel(expected))) > 1


@pytest.mark.parametrize(
    "shape",
    [(4, 1, *SIZE), (1, 2, *SIZE), (1, 1, 5, 7), (1, *SIZE)],
    ids=["N", "K", "size", "rank"],
)
def test_a_region_that_does_not_fit_is_an_error_of_the_runtime(
    segmenter: Made, shape: tuple[int, ...]
) -> None:
    index = np.array([[0, 1, 2]])
    for count in (1, 3):
        region = np.ones(shape, np.float32)
        with pytest.raises(Exception, match="ONNXRuntimeError"):
            segmenter.run({"x": noise(count, *SIZE), "class_index": index, "region": region})


FORMS = {
    "one axis of positions": ("anchors", 5, "softmax", True),
    "one axis of positions, fixed batch": ("anchors", 5, "softmax", False),
    "a softmax over the classes is stepped over": ("softmax", 5, "softmax", True),
    "a softmax over positions is not": ("across", 5, "softmax", True),
    "single logit": ("maps", 1, "sigmoid", True),
    "single logit, fixed batch": ("maps", 1, "sigmoid", False),
}


@pytest.mark.parametrize(("form", "classes", "activation", "dynamic"), FORMS.values(), ids=FORMS)
def test_all_forms_verify_and_run_without_classes(
    tmp_path: Path, form: str, classes: int, activation: str, dynamic: bool
) -> None:
    model = Dense(form, classes)
    artifact = made(
        tmp_path / "m.onnx", model, verify="quick", trace=TorchExport(dynamic_batch=dynamic)
    )
    score = artifact.spec.score
    assert (score.activation, score.activated) == (activation, form == "softmax")
    assert (score.classes, score.single_logit) == (max(classes, 2), classes == 1)
    assert (score.value == score.output) == (form != "softmax")
    x = noise(1, *SIZE)
    positions = artifact.run({"x": x})[score.output].shape[2:]
    for level in (
        onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
        onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL,
    ):
        opened = open_session(artifact.path, level)
        for k in (0, 1, 2):
            feeds = {"x": x, "class_index": np.zeros((1, k), np.int64)}
            assert results(opened, feeds)["gradients"].shape[:2] == (1, k)
            feeds["region"] = np.ones((1, k, *positions), np.float32)
            assert results(opened, feeds)["gradients"].shape[:2] == (1, k)


def test_a_single_logit_explains_class_0_as_the_negative_of_class_1(tmp_path: Path) -> None:
    artifact = made(tmp_path / "m.onnx", Dense("maps", 1))
    region = np.random.default_rng(0).random((1, 1, 4, 6), np.float32)
    feeds = {"x": noise(2, *SIZE), "class_index": np.array([[1, 0]]), "region": region}
    found = artifact.run(feeds)
    logit = next(iter(found.values()))
    np.testing.assert_allclose(found["scores"][:, 0], (logit * region).sum((1, 2, 3)), rtol=1e-5)
    np.testing.assert_array_equal(found["scores"][:, 0], -found["scores"][:, 1])
    np.testing.assert_array_equal(found["gradients"][:, 0], -found["gradients"][:, 1])


def test_class_scores_without_positions_come_first(tmp_path: Path) -> None:
    artifact = made(tmp_path / "m.onnx", Dense("both"), verify="quick")
    assert artifact.spec.region is None
    found = artifact.run({"x": noise(1, *SIZE)})
    assert found[artifact.spec.score.output].shape == (1, 4)
    stored = {p.key: p.value for p in onnx.load(artifact.path).metadata_props}[METADATA_KEY]
    assert '"region"' not in stored


def test_a_returned_dict_names_the_outputs_and_any_can_be_scored(tmp_path: Path) -> None:
    report = export(seeded(Segmenter()), tmp_path / "m.onnx", EXAMPLE, score=Score(output="aux"))
    assert report.spec.score.output == "aux"
    # The automatic choice follows that output, and passes over the class maps themselves.
    assert list(report.layers) == ["stem"]
    reasons = {candidate.name: candidate.reason for candidate in report.candidates}
    assert reasons["side"] == "a map for each class: the scores themselves"
    assert reasons["mix"] == "not connected to the score"
    assert list(export(seeded(Segmenter()), tmp_path / "b.onnx", EXAMPLE).layers) == ["mix"]
    with pytest.raises(ScoreError, match=r"no output is called 'mask'.*out \['batch', 5, 8, 12\]"):
        made(tmp_path / "c.onnx", Segmenter(), score=Score(output="mask"))


def test_a_key_that_names_an_input_already_gives_way(tmp_path: Path) -> None:
    class Named(Tiny):
        def forward(self, x: torch.Tensor) -> Any:
            return {"x": super().forward(x), "conv1.weight": x.mean((2, 3))}

    report = export(seeded(Named()), tmp_path / "m.onnx", EXAMPLE)
    names = [value.name for value in onnx.load(tmp_path / "m.onnx").graph.output]
    assert names[0] == report.spec.score.output
    assert {"x", "conv1.weight"}.isdisjoint(names)


def plain_file(path: Path, model: nn.Module) -> Path:
    return to_onnx(seeded(model), path, SIZE)


def test_an_onnx_file_is_verified_by_finite_differences_inside_a_region(tmp_path: Path) -> None:
    plain = plain_file(tmp_path / "plain.onnx", Segmenter())
    report = export(plain, tmp_path / "m.onnx")
    assert report.verification.reference == "finite-differences"
    assert report.spec.region == "region"
    reasons = {candidate.name: candidate.reason for candidate in report.candidates}
    assert reasons["conv2d_2"] == "a map for each class: the scores themselves"
    assert list(report.layers) == ["tanh"]
    assert next(c.name for c in candidates_of(plain) if c.usable) == "tanh"


def test_a_region_that_reaches_the_scores_only_fails_verification(tmp_path: Path) -> None:
    # The gradients ignore the region: right for the default, wrong for any other.
    artifact = made(tmp_path / "m.onnx", Dense("maps"))
    changed = onnx.load(artifact.path)
    (hits,) = (n for n in changed.graph.node if n.op_type == "Where" and "seed" in n.name)
    ones = onnx.numpy_helper.from_array(np.ones((1, 1, 1, 4, 6), np.float32), "ones")
    changed.graph.initializer.append(ones)
    hits.input[1] = "ones"
    onnx.save(changed, artifact.path)
    verdict = verify_module(Artifact(artifact.path, artifact.spec), artifact.model, EXAMPLE)
    with pytest.raises(VerificationError, match="gradients: error"):
        verdict.raise_on_failure()
    x = noise(2, *SIZE)
    artifact.check(artifact.run({"x": x}), x, **TOLERANCE)


def test_only_the_selected_classes_maps_are_differentiated(segmenter: Made) -> None:
    # All class maps, resized and convolved back, can cost more than the model itself.
    added = [n for n in onnx.load(segmenter.path).graph.node if n.name.startswith("grad/")]
    assert [n.op_type for n in added].count("Conv") == 1  # that of ``mix``
