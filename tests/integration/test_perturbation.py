"""Perturbation methods against pytorch-grad-cam, plain references and results computed by hand."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from pytorch_grad_cam import AblationCAM, ScoreCAM, ShapleyCAM
from pytorch_grad_cam.utils.image import scale_cam_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import nn

from graftcam.exporter import Score, TorchExport, export
from graftcam.runtime import Explainer
from graftcam.runtime.errors import InputError
from graftcam.runtime.inputs.preprocess import place, prepare
from graftcam.runtime.methods import table
from graftcam.runtime.methods.dispatch import run_method
from graftcam.runtime.methods.method_io import MethodInput
from graftcam.runtime.session.session import Session
from support.artifacts import (
    LABELS,
    SCENE,
    WEIGHTS,
    averaging,
    peak,
    preprocess,
    write_artifact,
)
from support.heads import Skip, export_with_head, method_output, torch_head
from support.images import noise
from support.nets import ChannelsLast, Dense, Ending, Reused, Tiny, Tokens, seeded
from support.onnx_bytes import onnx_model

TOLERANCE = {"rtol": 2e-4, "atol": 2e-5}  # float32, scores subtracted from each other
CLASSES = [[2, 1]]
ON_HEADS = [method for method, record in table.METHODS.items() if "head" in record.needs]
METHODS = ["scorecam", "rise", *ON_HEADS]
FEW = {"rise": {"masks": 40, "grid": 3}}  # options that make a method quick


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Artifacts with heads: a cut, a residual block's inside, tokens, channels last."""
    folder = tmp_path_factory.mktemp("models")
    for name, (kind, layer, size) in MODELS.items():
        export_with_head(seeded(kind()), folder / f"{name}.onnx", layer, size)
    return folder


MODELS: dict[str, tuple[type[nn.Module], str, tuple[int, int]]] = {
    "cut": (Tiny, "relu1", (9, 8)),
    "residual": (Skip, "act", (8, 8)),
    "tokens": (Tokens, "norm", (12, 8)),
    "channels last": (ChannelsLast, "norm", (6, 5)),
    "smooth": (Reused, "first", (6, 6)),
}


def _shaped(maps: np.ndarray, x: np.ndarray) -> np.ndarray:
    """Maps [N, h, w] as pytorch-grad-cam shows them: stretched from 0 to 1, at the input's size."""
    return scale_cam_image(scale_cam_image(maps, x.shape[:1:-1]))


def _peer(kind: Any, name: str, x: np.ndarray, class_id: int, **more: Any) -> np.ndarray:
    """What a class of pytorch-grad-cam makes of a model."""
    model, layer, _ = MODELS[name]
    torch_model = seeded(model())
    part = torch_model.get_submodule(layer)
    part.register_forward_hook(lambda _m, _i, output: output.clone())
    cam = kind(model=torch_model, target_layers=[part], **more)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = cam(torch.from_numpy(x), [ClassifierOutputTarget(class_id)] * len(x))
    cam.activations_and_grads.gradients = []  # its own clearing up fails on them
    return found


@pytest.mark.parametrize("name", ["cut", "residual"])
def test_scorecam_is_pytorch_grad_cams(
    folder: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Its masks are resized with aligned corners; a cell's centre is ours, as in all our maps.
    monkeypatch.setattr(
        torch.nn, "UpsamplingBilinear2d", lambda size: nn.Upsample(size, mode="bilinear")
    )
    x = noise(2, *MODELS[name][2])
    found = method_output(folder / f"{name}.onnx", x, CLASSES, "scorecam")
    for k, class_id in enumerate(CLASSES[0]):
        expected = _peer(ScoreCAM, name, x, class_id)
        assert expected.max() > 0.9
        np.testing.assert_allclose(_shaped(found.maps[:, k], x), expected, rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("name", ["cut", "residual"])
def test_ablationcam_is_pytorch_grad_cams_where_scores_are_positive(
    folder: Path, name: str
) -> None:
    # Behind a ReLU both set a channel to zero (elsewhere it takes -10**7, we the paper's zero).
    x = noise(6, *MODELS[name][2])
    everything = np.arange(5)[None].tolist()
    found = method_output(folder / f"{name}.onnx", x, everything, "ablationcam")
    compared = 0
    for class_id in range(5):
        expected = _peer(AblationCAM, name, x, class_id, batch_size=4)
        positive = found.scores[:, class_id] > 0
        compared += positive.sum()
        np.testing.assert_allclose(
            _shaped(found.maps[:, class_id], x)[positive], expected[positive], rtol=2e-3, atol=2e-3
        )
    assert compared > 5


@pytest.mark.parametrize("name", ["smooth", "residual"])
def test_shapleycam_is_pytorch_grad_cams(folder: Path, name: str) -> None:
    """Its Hessian-vector product is exact; ours is a difference, in float32."""
    x = noise(2, *MODELS[name][2])
    found = method_output(folder / f"{name}.onnx", x, CLASSES, "shapleycam")
    plain = method_output(folder / f"{name}.onnx", x, CLASSES, "gradcam")
    # Behind ReLUs alone nothing is curved.
    curvature = np.abs(found.maps - plain.maps).max() / plain.maps.max()
    assert (curvature > 0.05) == (name == "smooth")
    for k, class_id in enumerate(CLASSES[0]):
        expected = _peer(ShapleyCAM, name, x, class_id)
        np.testing.assert_allclose(_shaped(found.maps[:, k], x), expected, rtol=2e-3, atol=2e-3)


@pytest.mark.parametrize("name", ["tokens", "channels last", "smooth"])
def test_shapleycam_is_its_definition(folder: Path, name: str) -> None:
    """By automatic differentiation, twice, in float64."""
    x = noise(2, *MODELS[name][2])
    session = Session(folder / f"{name}.onnx")
    layer, classes = session.spec.layers[0], range(session.spec.score.classes)
    found = method_output(folder / f"{name}.onnx", x, [list(classes)], "shapleycam")
    plain = method_output(folder / f"{name}.onnx", x, [list(classes)], "gradcam")
    given = torch.from_numpy(session.run({"x": x})[layer.activations]).double().requires_grad_()
    model = seeded(MODELS[name][0]()).double()
    scores = torch_head(model, layer, torch.from_numpy(x).double())(given)
    for k in classes:
        total = scores[:, k].sum()
        (slope,) = torch.autograd.grad(total, given, create_graph=True)
        (product,) = torch.autograd.grad(slope, given, given.detach(), retain_graph=True)
        weights = (slope - product / 2).mean((2, 3), keepdim=True)
        expected = torch.relu((weights * given).sum(1)).detach().numpy()
        size = expected.max()
        np.testing.assert_allclose(found.maps[:, k], expected, rtol=2e-3, atol=1e-3 * size)
    assert np.abs(plain.maps - found.maps).max() > 0.02 * found.maps.max() > 0


def _reference(name: str, folder: Path, x: np.ndarray) -> tuple[Any, np.ndarray]:
    """The model's head in PyTorch, for one image at a time, and its activations."""
    model, _, _ = MODELS[name]
    session = Session(folder / f"{name}.onnx")
    layer = session.spec.layers[0]
    activations = session.run({"x": x})[layer.activations]
    torch_model = seeded(model())

    def head(row: int, changed: np.ndarray) -> np.ndarray:
        image = torch.from_numpy(x[row : row + 1])
        with torch.no_grad():
            return torch_head(torch_model, layer, image)(torch.from_numpy(changed)).numpy()

    return head, activations


@pytest.mark.parametrize("name", MODELS)
def test_ablationcam_is_its_definition(folder: Path, name: str) -> None:
    x = noise(3, *MODELS[name][2], seed=0)
    head, activations = _reference(name, folder, x)
    found = method_output(folder / f"{name}.onnx", x, CLASSES, "ablationcam")
    for row, given in enumerate(activations):
        whole = head(row, given[None])[0]
        for k, class_id in enumerate(CLASSES[0]):
            total = np.zeros(given.shape[1:], np.float32)
            for channel in range(len(given)):
                without = given.copy()
                without[channel] = 0
                drop = whole[class_id] - head(row, without[None])[0, class_id]
                total += drop / abs(whole[class_id]) * given[channel]
            np.testing.assert_allclose(found.maps[row, k], np.maximum(total, 0), **TOLERANCE)
    assert found.maps.max() > 0


@pytest.mark.parametrize("gaussian", [False, True])
@pytest.mark.parametrize("name", MODELS)
def test_reciprocam_is_its_definition(folder: Path, name: str, gaussian: bool) -> None:
    x = noise(2, *MODELS[name][2])
    head, activations = _reference(name, folder, x)
    found = method_output(folder / f"{name}.onnx", x, CLASSES, "reciprocam", gaussian=gaussian)
    window = np.array([[1, 2, 1], [2, 4, 2], [1, 2, 1]], np.float32) / 16
    for row, given in enumerate(activations):
        height, width = given.shape[1:]
        scores = np.zeros((2, height, width), np.float32)
        for i, j in np.ndindex(height, width):
            mask = np.zeros((height + 2, width + 2), np.float32)
            if gaussian:
                mask[i : i + 3, j : j + 3] = window
            else:
                mask[i + 1, j + 1] = 1
            scores[:, i, j] = head(row, (given * mask[1:-1, 1:-1])[None])[0, CLASSES[0]]
        expected = scores - scores.min(axis=(1, 2), keepdims=True)
        np.testing.assert_allclose(found.maps[row], expected, **TOLERANCE)
    assert found.maps.max() > 0


def test_rise_is_its_definition(folder: Path) -> None:
    size, count, grid, p = (9, 8), 50, 3, 0.4
    x = noise(2, *size)
    path = folder / "cut.onnx"
    found = method_output(path, x, CLASSES, "rise", masks=count, grid=grid, p=p, seed=5)
    generator = np.random.default_rng(5)
    cells = torch.from_numpy((generator.random((count, 1, grid, grid)) < p).astype(np.float32))
    shifts = generator.integers(0, [3, 3], (count, 2))
    large = nn.functional.interpolate(cells, (12, 12), mode="bilinear")
    masks = torch.stack(
        [one[:, i : i + 9, j : j + 8] for one, (i, j) in zip(large, shifts, strict=True)]
    )
    model = seeded(Tiny())
    with torch.no_grad():
        for row, image in enumerate(torch.from_numpy(x)):
            confidences = model(image * masks).softmax(1)[:, CLASSES[0]]
            above = confidences - confidences.mean(0)  # the constant part left out
            expected = torch.einsum("vk,vhw->khw", above, masks[:, 0]) / (count * p)
            np.testing.assert_allclose(found.maps[row], expected, **TOLERANCE)


def test_score_and_confidence_are_those_of_the_artifact(folder: Path, tmp_path: Path) -> None:
    """Logits behind a softmax are no output: Score-CAM asks for them, RISE takes probabilities."""
    soft = tmp_path / "soft.onnx"
    spec = export_with_head(seeded(Ending(nn.Softmax(1))), soft, "relu1", (9, 8))
    assert spec.score.activated
    x = noise(2, 9, 8)
    for method in METHODS:
        first, second = (
            method_output(path, x, CLASSES, method, **FEW.get(method, {})).maps
            for path in (folder / "cut.onnx", soft)
        )
        assert first.max() > 0
        np.testing.assert_allclose(first, second, **TOLERANCE, err_msg=method)


@pytest.mark.parametrize("kind", ["logit", "probability", "log_probability"])
def test_variants_are_scored_as_the_image_is(tmp_path: Path, kind: Any) -> None:
    """Class c's logit is the square of the mean of channel c, through a sigmoid."""
    text = """<ir_version: 8, opset_import: ["" : 18]>
    means (float[N, 3, 4, 4] x) => (float[N, 3] y) {
        layer = Sigmoid(x)
        mean = ReduceMean <keepdims = 0> (layer, axes)
        y = Mul(mean, mean)
    }"""
    plain, path = tmp_path / "plain.onnx", tmp_path / "m.onnx"
    plain.write_bytes(onnx_model(text, {"axes": np.array([2, 3])}))
    export(plain, path, layers="layer", score=kind, extras=["head"])
    x = noise(2, 4, 4)

    def scores(layer: np.ndarray) -> np.ndarray:
        logits = torch.from_numpy(layer.mean(axis=(2, 3)) ** 2)
        powers = logits if kind == "logit" else logits.log_softmax(1)
        return (powers.exp() if kind == "probability" else powers).numpy()[:, CLASSES[0]]

    layer = 1 / (1 + np.exp(-x))
    whole, total = scores(layer), np.zeros((2, 2, 4, 4), np.float32)
    for channel in range(3):
        without = layer.copy()
        without[:, channel] = 0
        drop = (whole - scores(without)) / np.abs(whole)
        total += drop[:, :, None, None] * layer[:, None, channel]
    found = method_output(path, x, CLASSES, "ablationcam").maps
    assert found.max() > 0
    np.testing.assert_allclose(found, np.maximum(total, 0), **TOLERANCE)


@pytest.mark.parametrize("method", METHODS)
def test_an_images_map_does_not_depend_on_its_batch(folder: Path, method: str) -> None:
    path, options = folder / "residual.onnx", FEW.get(method, {})
    x = noise(3)
    together = method_output(path, x, CLASSES, method, **options).maps
    for row in range(3):
        alone = method_output(path, x[row : row + 1], CLASSES, method, **options).maps
        np.testing.assert_allclose(together[row], alone[0], **TOLERANCE)


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fixed") / "m.onnx"
    export_with_head(
        seeded(Skip()), path, "act", trace=TorchExport(dynamic_batch=False), verify="quick"
    )
    return path


@pytest.mark.parametrize("method", METHODS)
def test_a_fixed_batch_gives_the_same_maps(fixed: Path, folder: Path, method: str) -> None:
    x, options = noise(2), FEW.get(method, {})
    expected = method_output(folder / "residual.onnx", x, CLASSES, method, **options).maps
    found = method_output(fixed, x, CLASSES, method, **options).maps
    np.testing.assert_allclose(found, expected, **TOLERANCE)


@pytest.mark.parametrize("method", ["ablationcam", "shapleycam"])
def test_copies_in_a_fixed_batch_keep_what_the_head_reads_beside(
    tmp_path: Path, folder: Path, method: str
) -> None:
    """The row of another image's skip connection must not go with a variant."""
    example = (torch.zeros(4, 3, 8, 8),)
    export(seeded(Skip()), tmp_path / "m.onnx", example, layers="act", extras=["head"],
           trace=TorchExport(dynamic_batch=False), verify="off")  # fmt: skip
    x = noise(2)
    found = method_output(tmp_path / "m.onnx", x[[0, 1, 1, 1]], CLASSES, method).maps
    expected = method_output(folder / "residual.onnx", x, CLASSES, method).maps
    np.testing.assert_allclose(found, expected[[0, 1, 1, 1]], **TOLERANCE)


def test_copies_in_a_fixed_batch_are_not_run(tmp_path: Path, folder: Path) -> None:
    example = (torch.zeros(4, 3, 9, 8),)
    export(seeded(Tiny()), tmp_path / "m.onnx", example, layers="relu1", extras=["head"],
           trace=TorchExport(dynamic_batch=False), verify="off")  # fmt: skip
    x, filled, runs = noise(2, 9, 8), [0, 1, 1, 1], list[tuple[int, int]]()
    found = method_output(
        tmp_path / "m.onnx", x[filled], CLASSES, "rise", masks=11, grid=3,
        progress=lambda *two: runs.append(two),
    )  # fmt: skip
    # Two variants of both images go into a run, and one into the last.
    assert runs == [(done, 7) for done in range(1, 8)]
    expected = method_output(folder / "cut.onnx", x, CLASSES, "rise", masks=11, grid=3)
    np.testing.assert_allclose(found.maps, expected.maps[filled], **TOLERANCE)


@pytest.mark.parametrize("method", [one for one in METHODS if one not in ON_HEADS])
def test_a_linear_score_of_one_class_is_that_class(tmp_path: Path, method: str) -> None:
    maps: list[np.ndarray] = []
    x = noise(2, 9, 8)
    for kind in ("output", "linear"):
        path = tmp_path / f"{kind}.onnx"
        spec = export_with_head(
            seeded(Tiny()), path, "relu1", (9, 8), score=Score(kind, activation="none"), extras=[]
        )
        selection = np.array(CLASSES)
        if kind == "linear":
            selection = np.eye(6, dtype=np.float32)[selection]
        fed = {"x": x, spec.selector: selection}
        batch = MethodInput(Session(path), fed, "x", spec.layers[0])
        maps.append(run_method(batch, method, FEW.get(method, {})).maps)
    assert maps[0].max() > 0
    np.testing.assert_allclose(maps[1], maps[0], **TOLERANCE)


@pytest.mark.parametrize("method", METHODS)
def test_ranks_are_those_of_the_unchanged_image(folder: Path, method: str) -> None:
    path, options, x = folder / "residual.onnx", FEW.get(method, {}), noise(2)
    ranked = method_output(path, x, [[-1]], method, **options)
    for row in range(2):
        named = method_output(path, x, [[int(ranked.classes[row, 0])]], method, **options)
        np.testing.assert_allclose(ranked.maps[row], named.maps[row], **TOLERANCE)


@pytest.mark.parametrize("method", METHODS)
def test_no_class_is_no_map(folder: Path, method: str) -> None:
    x = noise(2)
    calls: list[int] = []
    found = method_output(
        folder / "residual.onnx", x, [[]], method, progress=lambda done, _: calls.append(done)
    )
    assert found.maps.shape[:2] == (2, 0)
    assert len(calls) <= 3


@pytest.mark.parametrize("method", METHODS)
def test_progress_counts_runs_to_the_end(folder: Path, method: str) -> None:
    seen: list[tuple[int, int]] = []
    method_output(
        folder / "cut.onnx", noise(4, 9, 8), CLASSES, method, **FEW.get(method, {}),
        progress=lambda *two: seen.append(two),
    )  # fmt: skip
    assert len(seen) > 1
    assert seen == [(done, len(seen)) for done in range(1, len(seen) + 1)]


def test_runs_are_of_bounded_size(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graftcam.runtime.methods.rerun.ROWS", 4)
    monkeypatch.setattr("graftcam.runtime.methods.rerun.MOST_ROWS", 4)
    seen: list[int] = []
    run = Session.run

    def watched(self: Session, feeds: dict[str, np.ndarray], names: Any = None) -> Any:
        seen.append(max(len(value) for value in feeds.values()))
        return run(self, feeds, names)

    monkeypatch.setattr(Session, "run", watched)
    x = noise(2)
    small = method_output(folder / "residual.onnx", x, CLASSES, "ablationcam").maps
    assert max(seen) == 4
    monkeypatch.undo()
    whole = method_output(folder / "residual.onnx", x, CLASSES, "ablationcam").maps
    np.testing.assert_allclose(small, whole, **TOLERANCE)


def test_scorecam_with_fewer_channels_takes_those_that_vary_most(folder: Path) -> None:
    path, x = folder / "cut.onnx", noise(2, 9, 8)
    whole = method_output(path, x, CLASSES, "scorecam").maps
    np.testing.assert_allclose(
        method_output(path, x, CLASSES, "scorecam", channels=8).maps, whole, **TOLERANCE
    )
    activations = Session(path).run({"x": x})["activations"]
    one = method_output(path, x, CLASSES, "scorecam", channels=1).maps
    for row, given in enumerate(activations):
        most = given[given.reshape(len(given), -1).var(axis=1).argmax()]
        np.testing.assert_allclose(one[row, 0], np.maximum(most, 0), **TOLERANCE)


@pytest.fixture(scope="module")
def segmenter(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("dense") / "m.onnx"
    export_with_head(seeded(Dense()), path, "act")
    return path


@pytest.mark.parametrize("method", METHODS)
def test_dense_scores_are_those_of_the_region(segmenter: Path, method: str) -> None:
    """The class's sum over a region is the score: 0 outside, as if the model had no such output."""
    path, options = segmenter, FEW.get(method, {})
    spec = Session(path).spec
    assert spec.region is not None
    x, region = noise(2), np.zeros((2, 1, 4, 4), np.float32)
    region[0, 0, 1, 2] = region[1, 0, 3, 0] = 1
    found = method_output(path, x, CLASSES, method, fed={spec.region: region}, **options)
    twice = method_output(path, x, CLASSES, method, fed={spec.region: region[:1]}, **options)
    np.testing.assert_allclose(found.maps[0], twice.maps[0], **TOLERANCE)
    assert np.abs(found.maps[1] - twice.maps[1]).max() > 1e-3
    if method == "reciprocam":  # a cell sees its neighbours only
        away = np.ones((4, 4), bool)
        away[0:3, 1:4] = False
        assert np.ptp(found.maps[0][:, away], axis=1).max() < 1e-5
        assert found.maps[0].max() > 1e-2


def test_a_single_logit_counts_both_ways(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    export_with_head(seeded(Tiny(classes=1)), path, "relu1")
    found = method_output(path, noise(2), [[0, 1]], "reciprocam")
    # What raises class 1 lowers class 0.
    low = found.maps[:, 1].max(axis=(1, 2), keepdims=True) - found.maps[:, 1]
    np.testing.assert_allclose(found.maps[:, 0], low, **TOLERANCE)
    np.testing.assert_array_equal(found.scores[:, 0], -found.scores[:, 1])


def write_patches(folder: Path, layout: Literal["nchw", "nhwc"] = "nchw") -> Path:
    """The patch model of `artifacts`, exported with its head: pool and linear layer."""
    shape = "3, 32, 32" if layout == "nchw" else "32, 32, 3"
    first = "Identity" if layout == "nchw" else "Transpose <perm = [0, 3, 1, 2]>"
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
    patches (float[N, {shape}] image) => (float[N, 4] logits)
    {{
        planes = {first}(image)
        averages = Conv <strides = [8, 8]> (planes, kernel)
        cells = Relu(averages)
        pooled = GlobalAveragePool(cells)
        flat = Flatten(pooled)
        logits = Gemm <transB = 1> (flat, weights)
    }}"""
    plain, path = folder / f"{layout}.plain.onnx", folder / f"{layout}.onnx"
    tensors = {"kernel": averaging(8), "weights": np.asarray(WEIGHTS, np.float32)}
    plain.write_bytes(onnx_model(text, tensors))
    export(
        plain, path, layers="cells", labels=LABELS, preprocess=preprocess(layout=layout),
        extras=["head"],
    )  # fmt: skip
    return path


@pytest.fixture(scope="module")
def patches(tmp_path_factory: pytest.TempPathFactory) -> Explainer:
    return Explainer(write_patches(tmp_path_factory.mktemp("patches")))


def test_behind_a_pool_and_a_linear_layer_maps_follow_by_hand(patches: Explainer) -> None:
    """Score c is the mean over 16 cells of w[c] times the cells' colours a."""
    plain = patches.explain(SCENE, ["red", "empty"])
    cells = patches.explain(SCENE, ["red", "empty"], method="reciprocam").maps
    colours = _colours(patches)
    weights = np.asarray(WEIGHTS, np.float32)[[0, 3]]
    by_cell = np.einsum("kc,chw->khw", weights, colours) / 16
    expected = by_cell - by_cell.min(axis=(1, 2), keepdims=True)
    np.testing.assert_allclose(cells, expected, rtol=1e-4, atol=1e-6)
    # Without a channel the score loses that channel's share of it.
    shares = weights * colours.mean(axis=(1, 2)) / np.abs(plain.scores[:, None])
    ablated = patches.explain(SCENE, ["red", "empty"], method="ablationcam").maps
    expected = np.maximum(np.einsum("kc,chw->khw", shares, colours), 0)
    np.testing.assert_allclose(ablated, expected, rtol=1e-4, atol=1e-6)
    # A linear head has no second derivative.
    shapley = patches.explain(SCENE, ["red", "empty"], method="shapleycam").maps
    np.testing.assert_allclose(shapley, plain.maps, rtol=1e-4, atol=1e-6)


def _colours(patches: Explainer) -> np.ndarray:
    """What the model sees of the scene: mean colours of 16 cells, [3, 4, 4]."""
    transform = preprocess()
    seen = prepare(transform, SCENE, place(transform, *SCENE.shape[:2]))
    return patches.run(seen[None])["activations"][0]


@pytest.mark.parametrize("method", METHODS)
def test_every_method_finds_the_red_square(patches: Explainer, method: str) -> None:
    options = {"rise": {"masks": 300, "grid": 4}}.get(method, {})
    explanation = patches.explain(SCENE, ["red"], method=method, options=options)
    assert explanation.status == ["ok"]
    row, column = peak(explanation.heatmaps[0])
    assert 24 <= row < 40
    assert 80 <= column < 96


@pytest.mark.parametrize("method", ["ablationcam", "reciprocam", "rise"])
def test_an_image_without_evidence_has_an_empty_map(patches: Explainer, method: str) -> None:
    black = np.zeros((80, 160, 3), np.uint8)
    assert patches.explain(black, ["red"], method=method, options=FEW.get(method, {})).status == [
        "zero"
    ]


def test_masks_lie_on_images_with_colours_last(patches: Explainer, tmp_path: Path) -> None:
    turned = Explainer(write_patches(tmp_path, "nhwc"))
    for method in ("scorecam", "rise"):
        expected, found = (
            explainer.explain(SCENE, ["red"], method=method, options=FEW.get(method, {})).maps
            for explainer in (patches, turned)
        )
        np.testing.assert_allclose(found, expected, **TOLERANCE)


@pytest.mark.parametrize(
    ("method", "options", "message"),
    [
        ("rise", {"masks": 1}, "masks=1 is out of range; give at least 2"),
        ("rise", {"grid": 0}, "grid=0 is out of range"),
        ("rise", {"p": 1.0}, r"p=1\.0 is out of range; give a share between 0 and 1"),
        ("scorecam", {"channels": 0}, "channels=0 is out of range"),
        ("shapleycam", {"step": 0}, "step=0 is out of range; give a small positive number"),
        ("ablationcam", {"masks": 3}, "takes no option 'masks'; it takes none"),
    ],
)
def test_wrong_options_are_refused(
    folder: Path, method: str, options: dict[str, Any], message: str
) -> None:
    with pytest.raises(InputError, match=message):
        method_output(folder / "cut.onnx", noise(1, 9, 8), CLASSES, method, **options)


@pytest.mark.parametrize("method", ON_HEADS)
def test_a_method_that_reruns_the_head_says_how_to_get_it(tmp_path: Path, method: str) -> None:
    explainer = Explainer(write_artifact(tmp_path / "patches.onnx"))
    with pytest.raises(InputError, match=r"without the head of layer.*--extra head"):
        explainer.explain(SCENE, "red", method=method)
