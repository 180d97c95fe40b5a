"""The input's gradient, guided backpropagation and the deconvnet, as outputs of the artifact."""

from __future__ import annotations

import json
import warnings
from pathlib import Path
from typing import Any

import captum.attr
import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from torch import nn

from graftcam.exporter import CaptureError, LayerError, UnsupportedError, VerificationError, export
from graftcam.exporter.artifact.strip import write_plain
from graftcam.exporter.differentiate import relu_overrides
from graftcam.exporter.differentiate.rules import Entry
from graftcam.runtime.spec import METADATA_KEY, Preprocess, Spec
from support.cli import call, succeed
from support.images import noise
from support.nets import ChannelsLast, Dense, Residual, Tiny, Tokens, seeded
from support.onnx_bytes import onnx_model
from support.sessions import open_session, run

# float32 against float64 on networks of a few layers: rounding only, no kink is near.
TOLERANCE = {"rtol": 2e-4, "atol": 2e-6}


def autograd(model: nn.Module, x: np.ndarray, classes: list[int]) -> np.ndarray:
    """d score / d input in float64, [N, K, *input]."""
    leaf = torch.from_numpy(x).double().requires_grad_(True)
    scores = model.double()(leaf)
    slopes = [torch.autograd.grad(scores[:, c].sum(), leaf, retain_graph=True) for c in classes]
    model.float()
    return torch.stack([slope for (slope,) in slopes], dim=1).numpy()


Artifact, File = tuple[nn.Module, Path], tuple[Path, str]


@pytest.fixture(scope="module")
def residual(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    model = seeded(Residual(), seed=3)
    path = tmp_path_factory.mktemp("residual") / "m.onnx"
    report = export(
        model, path, (torch.zeros(1, 3, 12, 8),), layers=["join", "stem"], extras=["guided"]
    )
    assert set(report.verification.errors) >= set(report.spec.of_input.values())
    return model, path


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory, residual: Artifact) -> File:
    """The same model as an ONNX file, and its inner layer by the name that it has there."""
    path = tmp_path_factory.mktemp("source") / "plain.onnx"
    write_plain(residual[1], path)
    text = onnxruntime.InferenceSession(residual[1]).get_modelmeta().custom_metadata_map
    return path, Spec.from_json(text[METADATA_KEY]).layers[0].value


CASES = {
    "stem and pool": (Tiny, (9, 7), "relu1"),
    "tokens, no ReLU": (Tokens, (12, 8), "norm"),
    "channels last inside": (ChannelsLast, (6, 5), "mix"),
}


@pytest.mark.parametrize(("kind", "size", "layer"), CASES.values(), ids=CASES)
def test_the_inputs_gradient_equals_autograd(
    tmp_path: Path, kind: type[nn.Module], size: tuple[int, int], layer: str
) -> None:
    model, path = seeded(kind()), tmp_path / "m.onnx"
    example = (torch.zeros(2, 3, *size),)
    spec = export(model, path, example, layers=layer, extras=["input_gradients"], verify="off").spec
    assert list(spec.of_input) == ["input_gradients"]
    feeds = {"x": noise(3, *size), "class_index": np.array([[2, 0]])}
    truth = autograd(model, feeds["x"], [2, 0])
    np.testing.assert_allclose(run(path, feeds)["input_gradients"], truth, **TOLERANCE)
    for k in (0, 1):
        none = run(path, {**feeds, "class_index": np.zeros((1, k), np.int64)})
        assert none["input_gradients"].shape == (3, k, 3, *size)


def test_the_layers_stay_as_they_are(tmp_path: Path, source: File) -> None:
    feeds = {"x": noise(3, 12, 8), "class_index": np.array([[2, 0]])}
    path, layer = source
    export(path, tmp_path / "without.onnx", layers=layer, verify="off")
    export(path, tmp_path / "with.onnx", layers=layer, verify="off", extras=["guided"])
    found = run(tmp_path / "with.onnx", feeds)
    for name, value in run(tmp_path / "without.onnx", feeds).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-5, atol=1e-7, err_msg=name)


def test_guided_outputs_equal_captum_which_hooks_the_modules(residual: Artifact) -> None:
    model, path = residual
    x, classes = noise(4, 12, 8), [2, 0]
    found = run(path, {"x": x, "class_index": np.array([classes])})
    leaf = torch.from_numpy(x).double().requires_grad_(True)
    methods = {
        "guided_gradients": captum.attr.GuidedBackprop,
        "deconvnet_gradients": captum.attr.Deconvolution,
    }
    model.double()
    for name, method in methods.items():
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that it sets hooks
            truth = [method(model).attribute(leaf, c).detach().numpy() for c in classes]
        assert np.abs(truth).max() > 1e-3
        np.testing.assert_allclose(found[name], np.stack(truth, axis=1), **TOLERANCE)
    model.float()
    assert not np.allclose(found["guided_gradients"], found["input_gradients"], atol=1e-3)


ROW = np.arange(-6, 6, dtype=np.float32) + 0.5
WEIGHTS = ROW.reshape(3, 2, 2)


def write(path: Path, body: str, inputs: str = "float[N, 3, 2, 2] x") -> Path:
    """A model by its nodes, with a row of weights of both signs for 12 places."""
    text = f"""<ir_version: 9, opset_import: ["" : 18]>
    m ({inputs}) => (float[N, 2] y) {{ {body} }}"""
    tensors = {"w": np.stack([ROW, -ROW], axis=1), "twice": np.float32(2)}
    path.write_bytes(onnx_model(text, tensors))
    return path


# What is in front of the scores `flat @ w`, and what guided backpropagation makes of the class's
# weights w: the input is positive everywhere, so that only the cotangent's sign counts.
SIGNS = {
    "plain": ("a = Relu(x)", lambda w: np.maximum(w, 0)),
    "negated behind": ("r = Relu(x) a = Neg(r)", lambda w: np.maximum(-w, 0)),
    "negated before": ("n = Neg(x) m = Neg(n) a = Relu(m)", lambda w: np.maximum(w, 0)),
    "negated between": (
        "r = Relu(x) n = Neg(r) m = Neg(n) s = Relu(m) t = Neg(s) a = Mul(t, twice)",
        lambda w: np.maximum(-2 * w, 0),
    ),
}


@pytest.mark.parametrize(("front", "expected"), SIGNS.values(), ids=SIGNS)
def test_the_sign_of_a_cotangent_is_that_of_its_value_and_factor(
    tmp_path: Path, front: str, expected: Any
) -> None:
    source = write(tmp_path / "plain.onnx", f"{front} f = Flatten(a) y = MatMul(f, w)")
    path = tmp_path / "m.onnx"
    report = export(source, path, layers="a", extras=["guided"])
    x = np.abs(noise(2, 2, 2)) + 0.1
    found = run(path, {"x": x, "class_index": np.array([[1]])})
    for name in ("guided_gradients", "deconvnet_gradients"):
        np.testing.assert_array_equal(found[name], np.stack([expected(-WEIGHTS)[None]] * 2))
    (note,) = report.notes
    assert "guided_gradients and deconvnet_gradients are not verified" in note


def test_the_deconvnet_does_not_ask_what_the_forward_pass_let_through(tmp_path: Path) -> None:
    source = write(tmp_path / "plain.onnx", "a = Relu(x) f = Flatten(a) y = MatMul(f, w)")
    export(source, tmp_path / "m.onnx", layers="a", extras=["guided"], verify="off")
    x = noise(1, 2, 2)
    found = run(tmp_path / "m.onnx", {"x": x, "class_index": np.array([[0]])})
    positive = np.maximum(WEIGHTS, 0)
    np.testing.assert_array_equal(found["deconvnet_gradients"][0, 0], positive)
    np.testing.assert_array_equal(found["guided_gradients"][0, 0], positive * (x[0] > 0))
    np.testing.assert_array_equal(found["input_gradients"][0, 0], WEIGHTS * (x[0] > 0))


def test_no_shortcut_leads_past_a_node_whose_rule_is_another(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    straight = Entry("Sigmoid", 6, lambda emit, node, grad, needed: [grad])
    monkeypatch.setitem(relu_overrides.GUIDED, "Sigmoid", straight)
    body = "s = Sigmoid(x) m = Mul(x, s) a = Relu(m) f = Flatten(a) y = MatMul(f, w)"
    source = write(tmp_path / "plain.onnx", body)
    export(source, tmp_path / "m.onnx", layers="a", extras=["guided"], verify="off")
    x = np.abs(noise(1, 2, 2)) + 0.1
    found = run(tmp_path / "m.onnx", {"x": x, "class_index": np.array([[0]])})
    sigmoid = 1 / (1 + np.exp(-x[0]))
    slope = sigmoid + x[0] * sigmoid * (1 - sigmoid)
    np.testing.assert_allclose(found["input_gradients"][0, 0], WEIGHTS * slope, rtol=1e-5)
    expected = np.maximum(WEIGHTS, 0) * (sigmoid + x[0])
    np.testing.assert_allclose(found["guided_gradients"][0, 0], expected, rtol=1e-5)


def test_the_walks_share_what_they_have_in_common(tmp_path: Path, source: File) -> None:
    counts: list[int] = []
    for options in ({}, {"extras": ["input_gradients"]}, {"extras": ["guided"]}):
        report = export(source[0], tmp_path / "m.onnx", layers=source[1], verify="off", **options)
        assert report.nodes[0] == len(onnx.load(source[0]).graph.node)
        added = [n for n in onnx.load(tmp_path / "m.onnx").graph.node if n.name.startswith("grad/")]
        products = ("MatMul", "Gemm", "Conv", "ConvTranspose")
        counts.append(sum(node.op_type in products for node in added))
    # The layers' walk goes on through the three convolutions. The guided ones are the same down to
    # the last ReLU; from there each goes its own way through a linear layer and the convolutions.
    assert counts[1] == counts[0] + 3
    assert counts[2] == counts[1] + 2 * 4


def test_convolutions_still_run_fused_with_their_relus(tmp_path: Path, source: File) -> None:
    export(source[0], tmp_path / "m.onnx", layers=source[1], verify="off", extras=["guided"])
    options = onnxruntime.SessionOptions()
    options.optimized_model_filepath = str(tmp_path / "optimised.onnx")
    options.log_severity_level = 3
    onnxruntime.InferenceSession(tmp_path / "m.onnx", options, providers=["CPUExecutionProvider"])
    nodes = onnx.load(tmp_path / "optimised.onnx").graph.node
    fused = [n for n in nodes if any(a.name == "activation" for a in n.attribute)]
    # The stem and the block's first convolution; the other one's ReLU follows the sum.
    assert len([n for n in fused if not n.name.startswith("grad/")]) >= 2


def test_positions_regions_and_half_precision_are_verified_too(tmp_path: Path) -> None:
    example = (torch.zeros(1, 3, 8, 6),)
    dense = export(seeded(Dense()), tmp_path / "d.onnx", example, extras=["input_gradients"])
    model, images = seeded(Residual()).half(), (torch.zeros(1, 3, 12, 8).half(),)
    half = export(model, tmp_path / "h.onnx", images, extras=["guided"])
    for report in (dense, half):
        assert set(report.spec.of_input.values()) <= set(report.verification.errors)
    found = run(tmp_path / "h.onnx", {"x": noise(1, 12, 8).astype(np.float16)})
    assert found["guided_gradients"].dtype == np.float32


def test_the_image_of_a_file_keeps_its_layout_and_is_compared_with_differences(
    tmp_path: Path,
) -> None:
    source = write(
        tmp_path / "plain.onnx",
        "t = Transpose<perm = [0, 3, 1, 2]>(x) a = Sigmoid(t) f = Flatten(a) y = MatMul(f, w)",
        "float[N, 2, 2, 3] x",
    )
    transform = Preprocess(
        "x", [2, 2], None, "exact", "bilinear", 1.0, [0.0] * 3, [1.0] * 3, "nhwc"
    )
    report = export(
        source, tmp_path / "m.onnx", preprocess=transform, layers="a", extras=["input_gradients"]
    )
    assert report.spec.of_input == {"input_gradients": "input_gradients"}
    assert report.verification.errors["input_gradients"] < 1e-5
    outputs = open_session(tmp_path / "m.onnx").get_outputs()
    (output,) = (one for one in outputs if one.name == "input_gradients")
    assert output.shape == ["N", "K", 2, 2, 3]


def test_a_wrong_rule_is_not_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    example, path = (torch.zeros(1, 3, 12, 8),), tmp_path / "m.onnx"
    monkeypatch.setitem(relu_overrides.GUIDED, "Relu", relu_overrides.DECONVNET["Relu"])
    with pytest.raises(VerificationError, match="guided_gradients: error"):
        export(seeded(Residual(), 3), path, example, extras=["guided"])
    assert not path.exists()


def test_finite_differences_find_a_wrong_input_gradient(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from graftcam.exporter.heatmap import input_gradients

    body = "t = Tanh(x) a = Relu(t) f = Flatten(a) y = MatMul(f, w)"
    source = write(tmp_path / "plain.onnx", body)
    report = export(source, tmp_path / "m.onnx", layers="a", extras=["input_gradients"])
    assert "input_gradients" in report.verification.errors
    wrong = input_gradients._publish
    monkeypatch.setattr(
        input_gradients, "_publish",
        lambda emit, gradient, name: wrong(emit, gradient * 1.01, name),
    )  # fmt: skip
    with pytest.raises(VerificationError, match="input_gradients: error"):
        export(source, tmp_path / "wrong.onnx", layers="a", extras=["input_gradients"])


REFUSALS = {
    "no ReLU": (
        "t = Tanh(x) f = Flatten(t) y = MatMul(f, w)", "float[N, 3, 2, 2] x", CaptureError,
        "no Relu between the input 'x' and the score.*leave guided out"),
    "pixels as integers": (
        "c = Cast<to = 1>(x) t = Relu(c) f = Flatten(t) y = MatMul(f, w)",
        "uint8[N, 3, 2, 2] x", CaptureError, "0 inputs of floats"),
    "two images": (
        "s = Add(x, z) t = Relu(s) f = Flatten(t) y = MatMul(f, w)",
        "float[N, 3, 2, 2] x, float[N, 3, 2, 2] z", CaptureError, r"2 inputs of floats \(\['x'"),
    "rounded": (
        "r = Round(x) t = Relu(r) f = Flatten(t) y = MatMul(f, w)", "float[N, 3, 2, 2] x",
        LayerError, "no gradient with respect to the input 'x'; leave input_gradients"),
}  # fmt: skip


@pytest.mark.parametrize(("body", "inputs", "error", "message"), REFUSALS.values(), ids=REFUSALS)
def test_refusals_name_the_remedy_and_write_nothing(
    tmp_path: Path, body: str, inputs: str, error: type[Exception], message: str
) -> None:
    source = write(tmp_path / "plain.onnx", body, inputs)
    with pytest.raises(error, match=message):
        export(source, tmp_path / "m.onnx", layers="t", extras=["guided"])
    assert [one.name for one in tmp_path.iterdir()] == ["plain.onnx"]


def test_an_image_of_integers_is_refused_by_name(tmp_path: Path) -> None:
    body = "c = Cast<to = 1>(x) t = Relu(c) f = Flatten(t) y = MatMul(f, w)"
    source = write(tmp_path / "plain.onnx", body, "uint8[N, 3, 2, 2] x")
    transform = Preprocess("x", [2, 2], None, "exact", "bilinear", 1.0, [0.0] * 3, [1.0] * 3)
    options = {"preprocess": transform, "extras": "input_gradients"}
    with pytest.raises(CaptureError, match=r"input 'x' is UINT8, which carries no gradient"):
        export(source, tmp_path / "m.onnx", layers="t", **options)


def test_operators_that_the_layers_do_not_need_are_refused_for_the_input_alone(
    tmp_path: Path,
) -> None:
    body = "u = Unique(x) s = ReduceMax(u) r = Add(x, s) t = Relu(r) f = Flatten(t) "
    source = write(tmp_path / "plain.onnx", body + "y = MatMul(f, w)")
    export(source, tmp_path / "m.onnx", layers="t", verify="off")
    message = r"between the input and the score \(the layers can be explained: leave out the extras"
    with pytest.raises(UnsupportedError, match=message):
        export(source, tmp_path / "n.onnx", layers="t", extras=["input_gradients"])


def test_the_plain_model_has_none_of_it(tmp_path: Path, residual: Artifact) -> None:
    write_plain(residual[1], tmp_path / "plain.onnx")
    assert len(onnx.load(tmp_path / "plain.onnx").graph.output) == 1


def test_the_command_line_adds_it_and_reports_it(tmp_path: Path, source: File) -> None:
    path = tmp_path / "m.onnx"
    arguments = ["export", source[0], "--layer", source[1], "--verify", "off", "-o", path]
    for option, fields in (
        ("input_gradients", ["input_gradients"]),
        ("guided", ["input_gradients", "guided_gradients", "deconvnet_gradients"]),
    ):
        result = succeed(*arguments, "--extra", option, "--json")
        spec = json.loads(result.stdout)["spec"]
        assert [name for name in spec if name.endswith("gradients") and spec[name]] == fields
    shown = call("inspect", path).stdout
    assert "of the input: input_gradients, guided_gradients, deconvnet_gradients" in shown
