"""Perturbation methods: how they run an artifact, and results computed by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from torch import nn

from graftcam.exporter import Score, TorchExport, export
from graftcam.runtime import Explainer
from graftcam.runtime.errors import InputError
from graftcam.runtime.inputs.preprocess import place, prepare
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
from support.heads import Skip, export_with_head, with_head
from support.images import noise
from support.nets import Dense, Ending, Tiny, seeded
from support.onnx_bytes import onnx_model
from support.perturbation import (
    CLASSES,
    FEW,
    METHODS,
    ON_HEADS,
    TOLERANCE,
    artifact,
    explained,
)


def test_score_and_confidence_are_those_of_the_artifact(tmp_path: Path) -> None:
    """Logits behind a softmax are no output: Score-CAM asks for them, RISE takes probabilities."""
    soft = tmp_path / "soft.onnx"
    spec = export_with_head(seeded(Ending(nn.Softmax(1))), soft, "relu1", (9, 8))
    assert spec.score.activated
    x = noise(2, 9, 8)
    for method in METHODS:
        first, second = (explained(model, x, method).maps for model in ("cut", soft))
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
    found = explained(path, x, "ablationcam").maps
    assert found.max() > 0
    np.testing.assert_allclose(found, np.maximum(total, 0), **TOLERANCE)


@pytest.mark.parametrize("method", METHODS)
def test_an_images_map_does_not_depend_on_its_batch(method: str) -> None:
    x = noise(3)
    together = explained("residual", x, method).maps
    for row in range(3):
        alone = explained("residual", x[row : row + 1], method).maps
        np.testing.assert_allclose(together[row], alone[0], **TOLERANCE)


@pytest.fixture(scope="module")
def fixed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("fixed") / "m.onnx"
    export_with_head(
        seeded(Skip()), path, "act", trace=TorchExport(dynamic_batch=False), verify="quick"
    )
    return path


@pytest.mark.parametrize("method", METHODS)
def test_a_fixed_batch_gives_the_same_maps(fixed: Path, method: str) -> None:
    x = noise(2)
    expected = explained("residual", x, method).maps
    found = explained(fixed, x, method).maps
    np.testing.assert_allclose(found, expected, **TOLERANCE)


def batches_of_four(folder: Path, model: nn.Module, layer: str, size: tuple[int, int]) -> Path:
    path, example = folder / "m.onnx", (torch.zeros(4, 3, *size),)
    fixed = TorchExport(dynamic_batch=False)
    export(seeded(model), path, example, layers=layer, extras=["head"], trace=fixed, verify="off")
    return path


@pytest.mark.parametrize("method", ["ablationcam", "shapleycam"])
def test_copies_in_a_fixed_batch_keep_what_the_head_reads_beside(
    tmp_path: Path, method: str
) -> None:
    """The row of another image's skip connection must not go with a variant."""
    path, x = batches_of_four(tmp_path, Skip(), "act", (8, 8)), noise(2)
    found = explained(path, x[[0, 1, 1, 1]], method).maps
    expected = explained("residual", x, method).maps
    np.testing.assert_allclose(found, expected[[0, 1, 1, 1]], **TOLERANCE)


def test_copies_in_a_fixed_batch_are_not_run(tmp_path: Path) -> None:
    path = batches_of_four(tmp_path, Tiny(), "relu1", (9, 8))
    x, filled, runs = noise(2, 9, 8), [0, 1, 1, 1], list[tuple[int, int]]()
    found = explained(path, x[filled], "rise", masks=11, progress=lambda *two: runs.append(two))
    # Two variants of both images go into a run, and one into the last.
    assert runs == [(done, 7) for done in range(1, 8)]
    expected = explained("cut", x, "rise", masks=11)
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
def test_ranks_are_those_of_the_unchanged_image(method: str) -> None:
    x = noise(2)
    ranked = explained("residual", x, method, [[-1]])
    for row in range(2):
        named = explained("residual", x, method, [[int(ranked.classes[row, 0])]])
        np.testing.assert_allclose(ranked.maps[row], named.maps[row], **TOLERANCE)


@pytest.mark.parametrize("method", METHODS)
def test_no_class_is_no_map(method: str) -> None:
    calls: list[tuple[int, int]] = []
    found = explained("residual", noise(2), method, [[]], progress=lambda *two: calls.append(two))
    assert found.maps.shape[:2] == (2, 0)
    assert len(calls) <= 3


@pytest.mark.parametrize("method", METHODS)
def test_progress_counts_runs_to_the_end(method: str) -> None:
    seen: list[tuple[int, int]] = []
    explained("cut", noise(4, 9, 8), method, progress=lambda *two: seen.append(two))
    assert len(seen) > 1
    assert seen == [(done, len(seen)) for done in range(1, len(seen) + 1)]


def test_runs_are_of_bounded_size(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("graftcam.runtime.methods.rerun.ROWS", 4)
    monkeypatch.setattr("graftcam.runtime.methods.rerun.MOST_ROWS", 4)
    seen: list[int] = []
    run = Session.run

    def watched(self: Session, feeds: dict[str, np.ndarray], names: Any = None) -> Any:
        seen.append(max(len(value) for value in feeds.values()))
        return run(self, feeds, names)

    monkeypatch.setattr(Session, "run", watched)
    x = noise(2)
    small = explained("residual", x, "ablationcam").maps
    assert max(seen) == 4
    monkeypatch.undo()
    whole = explained("residual", x, "ablationcam").maps
    np.testing.assert_allclose(small, whole, **TOLERANCE)


def test_scorecam_with_fewer_channels_takes_those_that_vary_most() -> None:
    path, x = artifact("cut"), noise(2, 9, 8)
    whole = explained(path, x, "scorecam").maps
    found = explained(path, x, "scorecam", channels=8).maps
    np.testing.assert_allclose(found, whole, **TOLERANCE)
    activations = Session(path).run({"x": x})["activations"]
    one = explained(path, x, "scorecam", channels=1).maps
    for row, given in enumerate(activations):
        most = given[given.reshape(len(given), -1).var(axis=1).argmax()]
        np.testing.assert_allclose(one[row, 0], np.maximum(most, 0), **TOLERANCE)


@pytest.mark.parametrize("method", METHODS)
def test_dense_scores_are_those_of_the_region(method: str) -> None:
    """The class's sum over a region is the score: 0 outside, as if the model had no such output."""
    path = with_head(Dense, "act")
    x, region = noise(2), np.zeros((2, 1, 4, 4), np.float32)
    region[0, 0, 1, 2] = region[1, 0, 3, 0] = 1
    found = explained(path, x, method, fed={"region": region})
    twice = explained(path, x, method, fed={"region": region[:1]})
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
    found = explained(path, noise(2), "reciprocam", [[0, 1]])
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
    found = patches.explain(black, ["red"], method=method, options=FEW.get(method, {}))
    assert found.status == ["zero"]


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
        ("rise", {"masks": 1}, "masks=1 is out of range; give a whole number from 2 on"),
        ("rise", {"grid": 0}, "grid=0 is out of range"),
        ("rise", {"p": 1.0}, r"p=1\.0 is out of range; give a share between 0 and 1"),
        ("rise", {"seed": -1}, "seed=-1 is out of range; give a whole number from 0 on"),
        ("scorecam", {"channels": 0}, "channels=0 is out of range"),
        ("shapleycam", {"step": 0}, "step=0 is out of range; give a small positive number"),
        ("ablationcam", {"masks": 3}, "takes no option 'masks'; it takes none"),
    ],
)
def test_wrong_options_are_refused(method: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        explained("cut", noise(1, 9, 8), method, **options)


@pytest.mark.parametrize("method", ON_HEADS)
def test_a_method_that_reruns_the_head_says_how_to_get_it(tmp_path: Path, method: str) -> None:
    explainer = Explainer(write_artifact(tmp_path / "patches.onnx"))
    with pytest.raises(InputError, match=r"without the head of layer.*--extra head"):
        explainer.explain(SCENE, "red", method=method)
