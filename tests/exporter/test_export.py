"""The artifact's contract, spec 1, on small models against PyTorch autograd."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from graftcam.exporter import TorchExport, export
from graftcam.exporter.verify.torch_reference import Reference
from graftcam.runtime.spec import METADATA_KEY, Spec
from support.images import noise
from support.nets import ChannelsLast, Ending, Flat, PaddedPool, Reused, Tiny, Tokens, Twins, seeded
from support.sessions import open_session, run

# float32 against float64 on networks of a few layers: rounding only, no kink is near.
TOLERANCE = {"rtol": 2e-4, "atol": 2e-6}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> tuple[nn.Module, Path, Spec]:
    model = seeded(Tiny())
    path = tmp_path_factory.mktemp("tiny") / "tiny.onnx"
    report = export(model, path, (torch.zeros(1, 3, 8, 8),), verify="off")
    return model, path, report.spec


def test_outputs_have_the_names_and_types_of_spec_1(tiny: tuple[nn.Module, Path, Spec]) -> None:
    opened = open_session(tiny[1])
    assert [i.name for i in opened.get_inputs()] == ["x"]
    assert [i.name for i in opened.get_overridable_initializers()] == ["class_index"]
    assert [(o.name, o.type) for o in opened.get_outputs()][1:] == [
        ("classes", "tensor(int64)"),
        ("scores", "tensor(float)"),
        ("heatmap", "tensor(float)"),
        ("activations", "tensor(float)"),
        ("gradients", "tensor(float)"),
    ]


def test_a_caller_that_knows_nothing_gets_the_plain_outputs_and_the_predicted_class(
    tiny: tuple[nn.Module, Path, Spec],
) -> None:
    x = noise(3)
    found = run(tiny[1], {"x": x})
    expected = tiny[0](torch.from_numpy(x)).detach().numpy()
    own = next(iter(found))
    np.testing.assert_allclose(found[own], expected, **TOLERANCE)
    assert found["classes"].tolist() == expected.argmax(1)[:, None].tolist()
    np.testing.assert_allclose(found["scores"][:, 0], expected.max(1), **TOLERANCE)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("index", [[[]], [[2]], [[4, -1, 0, -2, -6]]], ids=["K0", "K1", "K5"])
@pytest.mark.parametrize("rows", ["shared", "own"])
def test_every_tensor_equals_autograd_for_all_batches_and_class_counts(
    tiny: tuple[nn.Module, Path, Spec], count: int, index: list[list[int]], rows: str
) -> None:
    model, path, spec = tiny
    x = noise(count)
    class_index = np.array(index, np.int64).reshape(1, -1)
    if rows == "own":
        class_index = np.repeat(class_index, count, axis=0)
    found = run(path, {"x": x, "class_index": class_index})
    logits = model(torch.from_numpy(x)).detach().numpy()
    ranked = (-logits).argsort(axis=1)
    whole = np.broadcast_to(class_index, (count, class_index.shape[1]))
    ids = np.where(whole < 0, np.take_along_axis(ranked, np.maximum(-whole - 1, 0), axis=1), whole)
    assert found["classes"].tolist() == ids.tolist()
    truth = Reference(model, spec.layers)([torch.from_numpy(x)], ids)
    layer = spec.layers[0]
    assert found["gradients"].shape == (count, class_index.shape[1], 12, 4, 4)
    assert found["heatmap"].shape == (count, class_index.shape[1], 4, 4)
    np.testing.assert_allclose(found["scores"], truth.scores, **TOLERANCE)
    np.testing.assert_allclose(found["activations"], truth.activations[layer.name], **TOLERANCE)
    np.testing.assert_allclose(found["gradients"], truth.gradients[layer.name], **TOLERANCE)
    np.testing.assert_allclose(found["heatmap"], truth.heatmaps[layer.name], **TOLERANCE)


CASES = {
    "inner layer": (Tiny, ["relu1"], (8, 8), "channels_first"),
    "convolution before BatchNorm": (Tiny, ["conv1"], (8, 8), "channels_first"),
    "convolution before in-place ReLU": (Tiny, ["conv2"], (10, 6), "channels_first"),
    "several layers": (Tiny, ["conv1", "relu2", "bn1"], (9, 7), "channels_first"),
    "no pooling before the head": (Flat, ["body.0", "body.1"], (8, 8), "channels_first"),
    "called twice": (Reused, ["act"], (6, 6), "channels_first"),
    "two layers that compute the same": (Twins, ["left", "right"], (6, 6), "channels_first"),
    "one of two layers that compute the same": (Twins, ["right"], (6, 6), "channels_first"),
    "zeros padded to a max pool": (PaddedPool, ["stem", "last"], (6, 5), "channels_first"),
    "tokens, non-square grid": (Tokens, ["norm"], (12, 8), "tokens"),
    "channels last": (ChannelsLast, ["norm", "mix"], (6, 5), "channels_last"),
    "convolution before channels last": (ChannelsLast, ["stem"], (6, 5), "channels_first"),
}


@pytest.mark.parametrize(("kind", "layers", "size", "layout"), CASES.values(), ids=CASES)
def test_layers_of_all_kinds_and_layouts_equal_autograd(
    tmp_path: Path, kind: type[nn.Module], layers: list[str], size: tuple[int, int], layout: str
) -> None:
    model = seeded(kind())
    path = tmp_path / "model.onnx"
    report = export(model, path, (torch.zeros(2, 3, *size),), layers=layers, verify="off")
    assert {layer.layout for layer in report.spec.layers} == {layout}
    x = noise(3, *size)
    found = run(path, {"x": x, "class_index": np.array([[2, 0]])})
    truth = Reference(model, report.spec.layers)([torch.from_numpy(x)], found["classes"])
    for layer in report.spec.layers:
        expected = truth.activations[layer.name]
        np.testing.assert_allclose(found[layer.activations], expected, **TOLERANCE)
        assert np.abs(truth.gradients[layer.name]).max() > 0
        np.testing.assert_allclose(found[layer.gradients], truth.gradients[layer.name], **TOLERANCE)
        np.testing.assert_allclose(found[layer.heatmap], truth.heatmaps[layer.name], **TOLERANCE)
    for k in (0, 1):
        empty = run(path, {"x": x, "class_index": np.zeros((1, k), np.int64)})
        assert empty[report.spec.layers[0].gradients].shape[:2] == (3, k)


def test_several_layers_carry_their_names_as_suffix(tmp_path: Path) -> None:
    layers = ["relu1", "relu2"]
    report = export(
        seeded(Tiny()), tmp_path / "m.onnx", (torch.zeros(1, 3, 8, 8),), layers=layers, verify="off"
    )
    assert [layer.heatmap for layer in report.spec.layers] == ["heatmap.relu1", "heatmap.relu2"]
    assert set(run(tmp_path / "m.onnx", {"x": noise(1)})) >= {"gradients.relu2", "classes"}


def test_a_module_called_twice_is_explained_at_its_last_call_and_says_so(tmp_path: Path) -> None:
    report = export(seeded(Reused()), tmp_path / "m.onnx", (torch.zeros(1, 3, 6, 6),), layers="act")
    assert report.notes == ["layer 'act' is called 2 times; its last call is explained"]


@pytest.mark.parametrize(
    ("ending", "activation"), [(nn.Softmax(1), "softmax"), (nn.Sigmoid(), "sigmoid")]
)
def test_a_trailing_activation_is_stepped_over(
    tmp_path: Path, ending: nn.Module, activation: str
) -> None:
    model, path = seeded(Ending(ending)), tmp_path / "m.onnx"
    score = export(model, path, (torch.zeros(1, 3, 8, 8),)).spec.score
    assert (score.kind, score.activation, score.activated) == ("logit", activation, True)
    x = noise(2)
    logits = Tiny.forward(model, torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(run(path, {"x": x})["scores"][:, 0], logits.max(1), **TOLERANCE)


def test_the_output_itself_can_be_the_score(tmp_path: Path) -> None:
    model, path = seeded(Ending(nn.Softmax(1))), tmp_path / "m.onnx"
    report = export(model, path, (torch.zeros(1, 3, 8, 8),), score="output")
    assert report.verification.verdict == "pass"
    assert 0 < run(path, {"x": noise(1)})["scores"][0, 0] <= 1


def test_a_single_logit_explains_class_1_as_itself_and_class_0_as_its_negative(
    tmp_path: Path,
) -> None:
    model, path = seeded(Tiny(classes=1)), tmp_path / "m.onnx"
    spec = export(model, path, (torch.zeros(1, 3, 8, 8),)).spec
    assert (spec.score.classes, spec.score.single_logit) == (2, True)
    found = run(path, {"x": noise(2), "class_index": np.array([[1, 0]])})
    np.testing.assert_array_equal(found["scores"][:, 0], -found["scores"][:, 1])
    np.testing.assert_array_equal(found["gradients"][:, 0], -found["gradients"][:, 1])


def test_taken_names_get_a_suffix_that_the_metadata_records(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    report = export(
        seeded(Tiny()), path, (torch.zeros(1, 3, 8, 8),),
        trace=TorchExport(output_names=["scores"]), verify="off",
    )  # fmt: skip
    assert report.spec.scores == "scores_2"
    found = run(path, {"x": noise(1)})
    assert found["scores"].shape == (1, 6)
    assert found["scores_2"].shape == (1, 1)


def test_metadata_is_the_reports_spec_and_names_no_file_of_this_machine(
    tiny: tuple[nn.Module, Path, Spec],
) -> None:
    model = onnx.load(tiny[1])
    stored = {entry.key: entry.value for entry in model.metadata_props}
    assert Spec.from_json(stored[METADATA_KEY]) == tiny[2]
    assert b"/site-packages/" not in tiny[1].read_bytes()
    assert str(Path(__file__).parent).encode() not in tiny[1].read_bytes()


def test_a_pool_and_linear_head_costs_one_gather_and_no_copy(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    export(seeded(Tiny()), path, (torch.zeros(1, 3, 8, 8),), verify="off")
    added = [n.op_type for n in onnx.load(path).graph.node if n.name.startswith("grad/")]
    assert {"Gemm", "Conv", "Identity", "ReduceMean", "ReduceSum"}.isdisjoint(added)
    assert added.count("MatMul") == 1


def test_a_fixed_batch_can_be_requested(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    report = export(
        seeded(Tiny()), path, (torch.zeros(2, 3, 8, 8),), layers="relu1",
        trace=TorchExport(dynamic_batch=False),
    )  # fmt: skip
    assert report.verification.images == 4  # in two runs
    assert open_session(path).get_inputs()[0].shape == [2, 3, 8, 8]


def test_adaptive_pools_of_other_sizes_add_up_without_scatter_nd(tmp_path: Path) -> None:
    # ONNX Runtime's ScatterND loses additions to one place when several threads make them.
    model = seeded(
        nn.Sequential(
            nn.Conv2d(3, 64, 3), nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(3136, 4)
        )
    )
    path = tmp_path / "m.onnx"
    report = export(model, path, (torch.zeros(1, 3, 5, 4),), layers="0")
    assert "GatherND" in report.operators
    assert "ScatterND" not in [n.op_type for n in onnx.load(path).graph.node]


def test_weights_beside_an_onnx_file_come_along(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    source, path = tmp_path / "source" / "m.onnx", tmp_path / "m.onnx"
    torch.onnx.export(
        seeded(Tiny()), (torch.zeros(2, 3, 8, 8),), source, dynamo=True, verbose=False,
        external_data=True,
    )  # fmt: skip
    assert (tmp_path / "source" / "m.onnx.data").exists()
    report = export(source, path)
    assert report.verification.verdict == "pass"
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["m.onnx"]
