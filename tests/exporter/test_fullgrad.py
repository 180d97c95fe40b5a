"""FullGrad: the map against PyTorch with hooks at every bias, and its sum against the score."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn
from torch.nn import functional

from graftcam.exporter import CaptureError, VerificationError, export
from graftcam.exporter.artifact.strip import write_plain
from graftcam.exporter.heatmap import fullgrad
from graftcam.runtime import Explainer
from graftcam.runtime.errors import InputError, SpecError
from graftcam.runtime.spec import METADATA_KEY, Preprocess, Spec
from support.cli import refuse, succeed
from support.nets import Tokens, seeded
from support.onnx_bytes import onnx_model
from support.sessions import open_session, run

TOLERANCE = {"rtol": 1e-4, "atol": 1e-5}
SPACES = {1: (13,), 2: (9, 7), 3: (6, 5, 4)}
CONVS: dict[int, type[nn.Module]] = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}
NORMS: dict[int, type[nn.Module]] = {1: nn.BatchNorm1d, 2: nn.BatchNorm2d, 3: nn.BatchNorm3d}
CURVED = (nn.ReLU6, nn.SiLU, nn.GELU, nn.Hardswish, nn.Sigmoid, nn.Tanh)


class Product(nn.Module):
    """Two values that both depend on the image."""

    def forward(self, x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
        return x * y


class Net(nn.Module):
    """Two stages of different resolution with a shortcut, a norm, a bias and an activation."""

    def __init__(self, act: type[nn.Module] = nn.ReLU, axes: int = 2, *, gated: bool = False):
        super().__init__()
        conv, norm = CONVS[axes], NORMS[axes]
        self.stem, self.norm = conv(3, 6, 3, padding=1, bias=False), norm(6)
        self.act, self.act2, self.act3 = act(), act(), act()
        self.down = conv(6, 8, 3, stride=2, padding=1)
        self.inner = conv(8, 8, 3, padding=1)
        self.squeeze = conv(8, 8, 1) if gated else None
        self.gate, self.product = nn.Sigmoid(), Product()
        self.axes = tuple(range(2, 2 + axes))
        self.head = nn.Sequential(nn.Linear(8, 10), nn.ReLU(), nn.Linear(10, 4))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.act2(self.down(self.act(self.norm(self.stem(x)))))
        x = x + self.act3(self.inner(x))
        if self.squeeze is not None:
            gate = self.gate(self.squeeze(x.mean(self.axes, keepdim=True)))
            x = self.product(x, gate)
        return self.head(x.mean(self.axes))


def terms(model: nn.Module, x: np.ndarray, target: int) -> tuple[list[np.ndarray], np.ndarray]:
    """What the input and each bias with places contribute, float64 [N, C, *space], and the score.

    Modules are hooked, where the artifact follows the nodes of a graph.
    """
    calls: list[tuple[nn.Module, tuple[torch.Tensor, ...], torch.Tensor]] = []

    def hook(module: nn.Module, given: Any, result: torch.Tensor) -> None:
        calls.append((module, given, result))

    of_interest = (*CONVS.values(), *NORMS.values(), *CURVED, Product)
    hooks = [m.register_forward_hook(hook) for m in model.modules() if isinstance(m, of_interest)]
    leaf = torch.from_numpy(x).double().requires_grad_(True)
    score = model.double()(leaf)[:, target]
    for one in hooks:
        one.remove()
    slopes = torch.autograd.grad(score.sum(), [leaf, *(result for _, _, result in calls)])
    found = [slopes[0] * leaf]
    for (module, given, y), g in zip(calls, slopes[1:], strict=True):
        if y[0, 0].numel() == 1:
            continue  # one place: it tells nothing of the image
        if isinstance(module, CURVED):
            z = given[0].detach().requires_grad_(True)
            (slope,) = torch.autograd.grad(module(z).sum(), z)
            found.append(g * (y - slope * z))
        elif isinstance(module, Product):
            found.append(-g * y)
        else:
            bias = module.bias
            if isinstance(module, tuple(NORMS.values())):
                root = (module.running_var + module.eps).sqrt()
                bias = module.bias - module.weight * module.running_mean / root
            if bias is not None:
                found.append(g * bias.reshape(1, -1, *[1] * (y.dim() - 2)))
    model.float()
    return [one.detach().numpy() for one in found], score.detach().numpy()


def psi(term: np.ndarray, space: tuple[int, ...]) -> np.ndarray:
    """Magnitudes from 0 to 1 for each image, interpolated to the image, summed over channels."""
    size = np.abs(term)
    flat = size.reshape(len(size), -1)
    ends = [end(flat, axis=1).reshape(-1, *[1] * (size.ndim - 1)) for end in (np.min, np.max)]
    spread = ends[1] - ends[0]
    scaled = torch.from_numpy((size - ends[0]) / np.where(spread, spread, 1))
    mode = ("linear", "bilinear", "trilinear")[len(space) - 1]
    return functional.interpolate(scaled, space, mode=mode).sum(1).numpy()


def noise(axes: int, count: int = 3) -> np.ndarray:
    generator = np.random.default_rng(1)
    return generator.standard_normal((count, 3, *SPACES[axes])).astype(np.float32) * 2


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


Artifact = tuple[nn.Module, Path]
TRANSFORM = Preprocess(
    "x", SPACES[2], SPACES[2], "exact", "bilinear", 1 / 255, [0.4] * 3, [0.2] * 3
)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    model, path = seeded(Net(), seed=2), tmp_path_factory.mktemp("plain") / "m.onnx"
    report = export(
        model, path, (torch.zeros(2, 3, *SPACES[2]),), layers="down", extras="fullgrad",
        preprocess=TRANSFORM,
    )  # fmt: skip
    assert report.verification.errors["heatmap.fullgrad"] < 1e-5
    assert "input_gradients" in report.verification.errors  # by the same walk
    return model, path


def test_a_file_gives_the_same_map(tmp_path: Path, plain: Artifact) -> None:
    source, path = tmp_path / "plain.onnx", tmp_path / "m.onnx"
    write_plain(plain[1], source)
    metadata = open_session(plain[1]).get_modelmeta().custom_metadata_map[METADATA_KEY]
    layer = Spec.from_json(metadata).layers[0].value
    assert export(source, path, layers=layer, extras=["fullgrad"]).verification.verdict == "pass"
    feeds = {"x": noise(2), "class_index": np.array([[1]])}
    np.testing.assert_allclose(
        run(path, feeds)["heatmap.fullgrad"], run(plain[1], feeds)["heatmap.fullgrad"], **TOLERANCE
    )


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


def test_the_runtime_gives_the_map_and_what_is_missing_of_the_sum(plain: Artifact) -> None:
    explainer = Explainer(plain[1])
    photo = np.random.default_rng(0).integers(0, 256, (*SPACES[2], 3), np.uint8)
    found = explainer.explain(photo, [2, 0], method="fullgrad")
    assert found.maps.shape == (2, *SPACES[2])
    assert (found.maps >= 0).all()
    assert not found.signed
    assert (found.measures["completeness_error"] < 1e-4).all()
    x = ((photo / 255 - 0.4) / 0.2).transpose(2, 0, 1)[None].astype(np.float32)
    parts, _ = terms(plain[0], x, 2)
    expected = sum(psi(part, SPACES[2]) for part in parts)[0]
    np.testing.assert_allclose(found.maps[0], expected, rtol=1e-3, atol=1e-3)


def test_an_artifact_without_it_says_how_to_get_it(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    export(
        seeded(Net()), path, (torch.zeros(2, 3, *SPACES[2]),), layers="down", verify="off",
        preprocess=TRANSFORM,
    )  # fmt: skip
    photo = np.zeros((*SPACES[2], 3), np.uint8)
    with pytest.raises(InputError, match=r"has no fullgrad, .*; export it with --extra fullgrad"):
        Explainer(path).explain(photo, method="fullgrad")


def test_the_record_needs_both_names(plain: Artifact) -> None:
    text = open_session(plain[1]).get_modelmeta().custom_metadata_map[METADATA_KEY]
    record = json.loads(text)
    del record["fullgrad_sum"]
    with pytest.raises(SpecError, match="fullgrad_sum"):
        Spec.from_json(json.dumps(record))


def test_the_command_line(tmp_path: Path, plain: Artifact) -> None:
    shown = succeed("inspect", plain[1]).stdout
    assert "of the input: input_gradients, heatmap.fullgrad, fullgrad_sum" in shown
    source, path = tmp_path / "plain.onnx", tmp_path / "m.onnx"
    write_plain(plain[1], source)
    succeed("export", source, "-o", path, "--extra", "fullgrad", "--verify", "off")
    np.save(tmp_path / "x.npy", noise(2)[0])
    succeed("explain", path, tmp_path / "x.npy", "-o", tmp_path / "out", "--method", "fullgrad")
    message = refuse("export", source, "-o", path, "--extra", "fullgrads")
    assert "did you mean 'fullgrad'" in message
