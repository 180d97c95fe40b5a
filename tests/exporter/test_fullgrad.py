"""FullGrad: the map against PyTorch with hooks at every bias, and its sum against the score."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from graftcam.exporter import CaptureError, VerificationError, export
from graftcam.exporter.heatmap import fullgrad
from graftcam.runtime.spec import Preprocess
from support.fullgrad import SPACES, TOLERANCE, Net, noise, psi, terms
from support.nets import Tokens, seeded
from support.onnx_bytes import onnx_model
from support.sessions import run

CASES: dict[str, tuple[Callable[[], nn.Module], int]] = {
    "ReLU": (Net, 2),
    "ReLU6, whose bound is a bias": (lambda: Net(nn.ReLU6), 2),
    "SiLU": (lambda: Net(nn.SiLU), 2),
    "GELU": (lambda: Net(nn.GELU), 2),
    "hard swish": (lambda: Net(nn.Hardswish), 2),
    "squeeze and excitation": (lambda: Net(gated=True), 2),
    "a signal": (lambda: Net(axes=1), 1),
    "a volume": (lambda: Net(axes=3), 3),
}


@pytest.mark.parametrize(("build", "axes"), CASES.values(), ids=CASES)
def test_the_map_and_its_sum_equal_pytorchs(
    tmp_path: Path, build: Callable[[], nn.Module], axes: int
) -> None:
    model, x = seeded(build(), seed=2), noise(axes)
    path, classes = tmp_path / "m.onnx", [2, 0]
    example = (torch.zeros(2, 3, *SPACES[axes]),)
    spec = export(model, path, example, layers="down", extras=["fullgrad"], verify="off").spec
    assert (spec.fullgrad, spec.fullgrad_sum) == ("heatmap.fullgrad", "fullgrad_sum")
    found = run(path, {"x": x, "class_index": np.array([classes])})
    for k, target in enumerate(classes):
        parts, scores = terms(model, x, target)
        assert len(parts) > 3
        expected = sum(psi(part, SPACES[axes]) for part in parts)
        np.testing.assert_allclose(found["heatmap.fullgrad"][:, k], expected, **TOLERANCE)
        np.testing.assert_allclose(found["fullgrad_sum"][:, k], scores, **TOLERANCE)
        # Biases are no small part of it.
        assert np.abs(parts[0].sum((1, *range(2, 2 + axes))) - scores).min() > 0.05
    for k in (0, 1):
        none = run(path, {"x": x, "class_index": np.zeros((1, k), np.int64)})
        assert none["heatmap.fullgrad"].shape == (3, k, *SPACES[axes])
        assert none["fullgrad_sum"].shape == (3, k)


def test_a_norm_that_is_a_node_of_its_own_has_the_bias_of_a_folded_one(tmp_path: Path) -> None:
    """The exporter keeps a norm behind the target layer apart from it."""
    model, x, path = seeded(Net(), seed=2), noise(2), tmp_path / "m.onnx"
    example = (torch.zeros(2, 3, *SPACES[2]),)
    report = export(model, path, example, layers="stem", extras=["fullgrad"], verify="off")
    assert "BatchNormalization" in report.operators
    found = run(path, {"x": x, "class_index": np.array([[3]])})
    parts, scores = terms(model, x, 3)
    expected = sum(psi(part, SPACES[2]) for part in parts)
    np.testing.assert_allclose(found["heatmap.fullgrad"][:, 0], expected, **TOLERANCE)
    np.testing.assert_allclose(found["fullgrad_sum"][:, 0], scores, **TOLERANCE)


@pytest.mark.parametrize("kind", ["probability", "log_probability", "output"])
def test_the_sum_is_the_score_of_every_kind(tmp_path: Path, kind: Any) -> None:
    model, path = seeded(nn.Sequential(Net(), nn.Softmax(1)), seed=2), tmp_path / "m.onnx"
    example = (torch.zeros(2, 3, *SPACES[2]),)
    export(model, path, example, layers="0.down", score=kind, extras=["fullgrad"], verify="off")
    found = run(path, {"input": noise(2), "class_index": np.array([[1, 3]])})
    assert np.ptp(found["scores"]) > 0.01
    np.testing.assert_allclose(found["fullgrad_sum"], found["scores"], **TOLERANCE)


class Segmenter(nn.Module):
    """Class scores at every second place."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 4, 1))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return functional.interpolate(self.body(x), scale_factor=2.0, mode="bilinear")


def test_a_region_is_divided_like_a_class(tmp_path: Path) -> None:
    model, path = seeded(Segmenter()), tmp_path / "m.onnx"
    example = (torch.zeros(2, 3, 8, 8),)
    export(model, path, example, layers="body.1", extras=["fullgrad"])
    region = np.zeros((1, 1, 8, 8), np.float32)
    region[..., 2:5, 1:4] = 1
    x = np.random.default_rng(0).standard_normal((2, 3, 8, 8)).astype(np.float32)
    found = run(path, {"x": x, "class_index": np.array([[1, 3]]), "region": region})
    np.testing.assert_allclose(found["fullgrad_sum"], found["scores"], **TOLERANCE)
    # The far corner is outside of the region's receptive field: only each term's smallest counts.
    assert (found["heatmap.fullgrad"][..., -1, -1] < found["heatmap.fullgrad"].max((2, 3))).all()


def test_open_sizes(tmp_path: Path) -> None:
    model, path = seeded(Net(), seed=2), tmp_path / "m.onnx"
    example = (torch.zeros(2, 3, *SPACES[2]),)
    export(
        model, path, example, layers="down", extras=["fullgrad"], verify="off", dynamic_size=True
    )
    wide = np.random.default_rng(0).standard_normal((2, 3, 15, 21)).astype(np.float32)
    found = run(path, {"x": wide, "class_index": np.array([[1, 3]])})
    parts, _ = terms(model, wide, 3)
    expected = sum(psi(part, (15, 21)) for part in parts)
    np.testing.assert_allclose(found["heatmap.fullgrad"][:, 1], expected, **TOLERANCE)


def test_float16(tmp_path: Path) -> None:
    path, example = tmp_path / "m.onnx", torch.zeros(2, 3, *SPACES[2]).half()
    model = seeded(Net(), seed=2)
    half = seeded(Net(), seed=2).half()
    export(half, path, (example,), layers="down", extras=["fullgrad"], verify="off")
    found = run(path, {"x": noise(2).astype(np.float16), "class_index": np.array([[1]])})
    parts, scores = terms(model, noise(2), 1)
    assert found["heatmap.fullgrad"].dtype == np.float32
    np.testing.assert_allclose(found["fullgrad_sum"][:, 0], scores, rtol=0.02, atol=0.02)
    expected = sum(psi(part, SPACES[2]) for part in parts)
    np.testing.assert_allclose(found["heatmap.fullgrad"][:, 0], expected, rtol=0.05, atol=0.05)


def test_another_inputs_values_are_a_bias(tmp_path: Path) -> None:
    """What the image does not change is added like a constant."""
    text = """<ir_version: 9, opset_import: ["" : 18]>
    m (float[N, 3, 4, 4] image, float[N, 3, 4, 4] other) => (float[N, 2] y) {
        o = Relu(other) a = Add(image, o) b = Sub(a, half) c = Conv<kernel_shape=[1, 1]>(b, k, bias)
        d = Relu(c) p = GlobalAveragePool(d) f = Flatten(p) y = MatMul(f, w)
    }"""
    generator = np.random.default_rng(0)
    tensors = {
        "k": generator.standard_normal((5, 3, 1, 1)).astype(np.float32),
        "bias": generator.standard_normal(5).astype(np.float32),
        "w": generator.standard_normal((5, 2)).astype(np.float32),
        "half": np.float32(0.5),
    }
    source, path = tmp_path / "plain.onnx", tmp_path / "m.onnx"
    source.write_bytes(onnx_model(text, tensors))
    transform = Preprocess("image", [4, 4], None, "exact", "bilinear", 1.0, [0.0] * 3, [1.0] * 3)
    # The other input leads to a layer, too: its cotangent is no part of FullGrad.
    export(source, path, layers=["d", "o"], extras=["fullgrad"], preprocess=transform)
    feeds = {
        name: generator.standard_normal((2, 3, 4, 4)).astype(np.float32)
        for name in ("image", "other")
    }
    found = run(path, {**feeds, "class_index": np.array([[0, 1]])})
    np.testing.assert_allclose(found["fullgrad_sum"], found["scores"], **TOLERANCE)
    slopes = found["input_gradients"]
    parts = [
        slopes * feeds["image"][:, None],
        slopes * np.maximum(feeds["other"], 0)[:, None],
        slopes * -0.5,
    ]
    by_input = sum(np.stack([psi(part[:, k], (4, 4)) for k in (0, 1)], axis=1) for part in parts)
    assert (found["heatmap.fullgrad"] >= by_input - 1e-5).all()  # the rest is the convolution's


@pytest.mark.parametrize("told", [True, False], ids=["by a transform", "by its extents"])
def test_an_image_may_have_its_channels_last(tmp_path: Path, *, told: bool) -> None:
    generator = np.random.default_rng(0)
    tensors = {
        "k": generator.standard_normal((5, 3, 3, 3)).astype(np.float32),
        "bias": generator.standard_normal(5).astype(np.float32),
        "w": generator.standard_normal((5, 2)).astype(np.float32),
    }
    body = """c = Conv<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(t, k, bias) d = Relu(c)
              p = GlobalAveragePool(d) f = Flatten(p) y = MatMul(f, w)"""
    x = generator.standard_normal((2, 6, 4, 3)).astype(np.float32)
    found: list[dict[str, np.ndarray]] = []
    for shape, first, layout in (
        ("6, 4, 3", "t = Transpose<perm=[0, 3, 1, 2]>(x)", "nhwc"),
        ("3, 6, 4", "t = Identity(x)", "nchw"),
    ):
        text = f"""<ir_version: 9, opset_import: ["" : 18]>
        m (float[N, {shape}] x) => (float[N, 2] y) {{ {first} {body} }}"""
        source, path = tmp_path / f"{layout}.onnx", tmp_path / f"{layout}-m.onnx"
        source.write_bytes(onnx_model(text, tensors))
        transform = Preprocess(
            "x", [6, 4], None, "exact", "bilinear", 1.0, [0.0] * 3, [1.0] * 3, layout=layout
        )
        export(
            source, path, layers="d", extras=["fullgrad"], verify="off",
            preprocess=transform if told else None,
        )  # fmt: skip
        image = x if layout == "nhwc" else x.transpose(0, 3, 1, 2)
        found.append(run(path, {"x": image, "class_index": np.array([[0, 1]])}))
    last, first = found
    assert last["heatmap.fullgrad"].shape == (2, 2, 6, 4)
    np.testing.assert_allclose(last["heatmap.fullgrad"], first["heatmap.fullgrad"], **TOLERANCE)
    np.testing.assert_allclose(last["fullgrad_sum"], last["scores"], **TOLERANCE)


def test_models_that_it_is_not_for_are_refused_for_the_reason(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    with pytest.raises(CaptureError, match=r"is for convolutional models: .* LayerNormalization"):
        export(
            seeded(Tokens()), path, (torch.zeros(2, 3, 12, 8),), layers="norm", extras="fullgrad"
        )
    bare = nn.Sequential(
        nn.Conv2d(3, 4, 3, bias=False), nn.ReLU(), nn.Flatten(), nn.Linear(4 * 36, 3)
    )
    with pytest.raises(CaptureError, match="the map would be that of input-x-gradient"):
        export(seeded(bare), path, (torch.zeros(2, 3, 8, 8),), layers="1", extras="fullgrad")
    row = nn.Sequential(
        nn.Unflatten(1, (1, 4, 6)), nn.Conv2d(1, 2, 3), nn.ReLU(), nn.Flatten(), nn.Linear(16, 3)
    )
    with pytest.raises(CaptureError, match="without axes of places"):
        export(seeded(row), path, (torch.zeros(2, 24),), layers="2", extras="fullgrad")
    assert not path.exists()


def test_a_bias_that_is_left_out_fails_the_verification(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = fullgrad.bias_of

    def forgetful(node: Any, active: Any) -> Any:
        return "none" if node.op_type == "Gemm" else real(node, active)

    monkeypatch.setattr(fullgrad, "bias_of", forgetful)
    path = tmp_path / "m.onnx"
    with pytest.raises(VerificationError, match=r"input and biases contribute sums up to \["):
        export(
            seeded(Net(), seed=2), path, (torch.zeros(2, 3, *SPACES[2]),), layers="down",
            extras=["fullgrad"],
        )  # fmt: skip
    assert not path.exists()
