"""The artifact's contract, spec 1, on small models against PyTorch autograd."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from graftcam.exporter import TorchExport, export
from graftcam.runtime.spec import METADATA_KEY, Spec
from support.exports import Made, make, to_onnx
from support.images import noise
from support.nets import ChannelsLast, Ending, Flat, PaddedPool, Reused, Tiny, Tokens, Twins, seeded
from support.sessions import open_session

# float32 against float64 on networks of a few layers: rounding only, no kink is near.
TOLERANCE = {"rtol": 2e-4, "atol": 2e-6}


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Made:
    return make(Tiny(), tmp_path_factory.mktemp("tiny") / "tiny.onnx")


def test_outputs_have_the_names_and_types_of_spec_1(tiny: Made) -> None:
    opened = open_session(tiny.path)
    assert [i.name for i in opened.get_inputs()] == ["x"]
    assert [i.name for i in opened.get_overridable_initializers()] == ["class_index"]
    assert [(o.name, o.type) for o in opened.get_outputs()][1:] == [
        ("classes", "tensor(int64)"),
        *((name, "tensor(float)") for name in ("scores", "heatmap", "activations", "gradients")),
    ]


def test_a_caller_that_knows_nothing_gets_the_plain_outputs_and_the_predicted_class(
    tiny: Made,
) -> None:
    x = noise(3)
    found = tiny.run({"x": x})
    expected = tiny.model(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(next(iter(found.values())), expected, **TOLERANCE)
    assert found["classes"].tolist() == expected.argmax(1)[:, None].tolist()
    np.testing.assert_allclose(found["scores"][:, 0], expected.max(1), **TOLERANCE)


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("index", [[[]], [[2]], [[4, -1, 0, -2, -6]]], ids=["K0", "K1", "K5"])
@pytest.mark.parametrize("rows", ["shared", "own"])
def test_every_tensor_equals_autograd_for_all_batches_and_class_counts(
    tiny: Made, count: int, index: list[list[int]], rows: str
) -> None:
    x = noise(count)
    class_index = np.array(index, np.int64).reshape(1, -1)
    if rows == "own":
        class_index = np.repeat(class_index, count, axis=0)
    found = tiny.run({"x": x, "class_index": class_index})
    ranked = (-tiny.model(torch.from_numpy(x)).detach().numpy()).argsort(axis=1)
    whole = np.broadcast_to(class_index, (count, class_index.shape[1]))
    ids = np.where(whole < 0, np.take_along_axis(ranked, np.maximum(-whole - 1, 0), axis=1), whole)
    assert found["classes"].tolist() == ids.tolist()
    assert found["gradients"].shape == (count, class_index.shape[1], 12, 4, 4)
    tiny.check(found, x, **TOLERANCE)


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
    artifact = make(kind(), tmp_path / "model.onnx", size, layers=layers)
    assert {layer.layout for layer in artifact.spec.layers} == {layout}
    x = noise(3, *size)
    found = artifact.run({"x": x, "class_index": np.array([[2, 0]])})
    truth = artifact.check(found, x, **TOLERANCE)
    assert all(np.abs(gradients).max() > 0 for gradients in truth.gradients.values())
    for k in (0, 1):
        empty = artifact.run({"x": x, "class_index": np.zeros((1, k), np.int64)})
        assert empty[artifact.spec.layers[0].gradients].shape[:2] == (3, k)


def test_several_layers_carry_their_names_as_suffix(tmp_path: Path) -> None:
    artifact = make(Tiny(), tmp_path / "m.onnx", layers=["relu1", "relu2"])
    assert [layer.heatmap for layer in artifact.spec.layers] == ["heatmap.relu1", "heatmap.relu2"]
    assert set(artifact.run({"x": noise(1)})) >= {"gradients.relu2", "classes"}


def test_a_module_called_twice_is_explained_at_its_last_call_and_says_so(tmp_path: Path) -> None:
    report = export(seeded(Reused()), tmp_path / "m.onnx", (torch.zeros(1, 3, 6, 6),), layers="act")
    assert report.notes == ["layer 'act' is called 2 times; its last call is explained"]


@pytest.mark.parametrize(
    ("ending", "activation"), [(nn.Softmax(1), "softmax"), (nn.Sigmoid(), "sigmoid")]
)
def test_a_trailing_activation_is_stepped_over(
    tmp_path: Path, ending: nn.Module, activation: str
) -> None:
    artifact = make(Ending(ending), tmp_path / "m.onnx", verify="quick")
    score = artifact.spec.score
    assert (score.kind, score.activation, score.activated) == ("logit", activation, True)
    x = noise(2)
    logits = Tiny.forward(artifact.model, torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(artifact.run({"x": x})["scores"][:, 0], logits.max(1), **TOLERANCE)


def test_the_output_itself_can_be_the_score(tmp_path: Path) -> None:
    model, options = Ending(nn.Softmax(1)), {"score": "output", "verify": "quick"}
    artifact = make(model, tmp_path / "m.onnx", **options)
    assert 0 < artifact.run({"x": noise(1)})["scores"][0, 0] <= 1


def test_a_single_logit_explains_class_1_as_itself_and_class_0_as_its_negative(
    tmp_path: Path,
) -> None:
    artifact = make(Tiny(classes=1), tmp_path / "m.onnx", verify="quick")
    assert (artifact.spec.score.classes, artifact.spec.score.single_logit) == (2, True)
    found = artifact.run({"x": noise(2), "class_index": np.array([[1, 0]])})
    np.testing.assert_array_equal(found["scores"][:, 0], -found["scores"][:, 1])
    np.testing.assert_array_equal(found["gradients"][:, 0], -found["gradients"][:, 1])


def test_taken_names_get_a_suffix_that_the_metadata_records(tmp_path: Path) -> None:
    artifact = make(Tiny(), tmp_path / "m.onnx", trace=TorchExport(output_names=["scores"]))
    assert artifact.spec.scores == "scores_2"
    found = artifact.run({"x": noise(1)})
    assert found["scores"].shape == (1, 6)
    assert found["scores_2"].shape == (1, 1)


def test_metadata_is_the_reports_spec_and_names_no_file_of_this_machine(tiny: Made) -> None:
    stored = {entry.key: entry.value for entry in onnx.load(tiny.path).metadata_props}
    assert Spec.from_json(stored[METADATA_KEY]) == tiny.spec
    assert b"/site-packages/" not in tiny.path.read_bytes()
    assert str(Path(__file__).parent).encode() not in tiny.path.read_bytes()


def test_a_pool_and_linear_head_costs_one_gather_and_no_copy(tiny: Made) -> None:
    added = [n.op_type for n in onnx.load(tiny.path).graph.node if n.name.startswith("grad/")]
    assert {"Gemm", "Conv", "Identity", "ReduceMean", "ReduceSum"}.isdisjoint(added)
    assert added.count("MatMul") == 1


def test_a_fixed_batch_can_be_requested(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    example, trace = (torch.zeros(2, 3, 8, 8),), TorchExport(dynamic_batch=False)
    report = export(seeded(Tiny()), path, example, layers="relu1", trace=trace)
    assert report.verification.images == 4  # in two runs
    assert open_session(path).get_inputs()[0].shape == [2, 3, 8, 8]


def test_adaptive_pools_of_other_sizes_add_up_without_scatter_nd(tmp_path: Path) -> None:
    # ONNX Runtime's ScatterND loses additions to one place when several threads make them.
    layers = nn.Conv2d(3, 64, 3), nn.AdaptiveAvgPool2d(7), nn.Flatten(), nn.Linear(3136, 4)
    model, path = seeded(nn.Sequential(*layers)), tmp_path / "m.onnx"
    report = export(model, path, (torch.zeros(1, 3, 5, 4),), layers="0")
    assert "GatherND" in report.operators
    assert "ScatterND" not in [n.op_type for n in onnx.load(path).graph.node]


def test_weights_beside_an_onnx_file_come_along(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    source, path = tmp_path / "source" / "m.onnx", tmp_path / "m.onnx"
    to_onnx(seeded(Tiny()), source, external_data=True)
    assert (tmp_path / "source" / "m.onnx.data").exists()
    export(source, path)
    assert [one.name for one in tmp_path.iterdir() if one.is_file()] == ["m.onnx"]
