"""Maps of several layers in one, made in the graph: PyTorch's and the runtime's numbers."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn
from torch.nn import functional

from graftcam.exporter import LayerError, TorchExport, VerificationError, export
from graftcam.exporter.artifact.strip import write_plain
from graftcam.exporter.graph.emitter import Emitter
from graftcam.exporter.heatmap import fused as in_graph
from graftcam.exporter.heatmap.gradcam import Target
from graftcam.exporter.heatmap.graph_operations import GraphAlgebra
from graftcam.exporter.locate.arrangement import Arrangement
from graftcam.exporter.release import verify_artifact
from graftcam.runtime import Explainer, GraftcamError
from graftcam.runtime.explain.fuse_layers import fuse
from graftcam.runtime.inputs.preprocess import prepare
from graftcam.runtime.methods.fusion import FUSES
from graftcam.runtime.session.session import Session
from support.artifacts import SCENE, preprocess
from support.exports import Made, make, to_onnx
from support.images import noise
from support.multiply import multiply
from support.nets import ChannelsLast, Segmenter, Tiny, Tokens, seeded
from support.sessions import open_session, run
from support.small_detector import write_model

EXTRAS = [f"fuse-{how}" for how in FUSES]
LAYERS = ["conv1", "conv2"]


class Conv(nn.Module):
    """Two stages of convolutions of any rank, the second with half of the places."""

    def __init__(self, rank: int) -> None:
        super().__init__()
        convolution = {1: nn.Conv1d, 2: nn.Conv2d, 3: nn.Conv3d}[rank]
        self.fine = convolution(2, 4, 3, padding=1)
        self.coarse = convolution(4, 5, 3, stride=2, padding=1)
        self.head = nn.Linear(5, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.sigmoid(self.coarse(torch.tanh(self.fine(x))))
        return self.head(x.flatten(2).square().mean(2))


def layercam(results: dict[str, np.ndarray], made: Made) -> list[torch.Tensor]:
    """LayerCAM of each layer in float64 (Jiang et al. 2021)."""
    found = list[torch.Tensor]()
    for layer in made.spec.layers:
        a, g = (
            torch.from_numpy(results[name]).double()
            for name in (layer.activations, layer.gradients)
        )
        found.append((a[:, None] * g.clamp(min=0)).sum(2).clamp(min=0))
    return found


def fused_by_torch(maps: Sequence[torch.Tensor], how: str) -> np.ndarray:
    """The four ways, written anew; the grid is that of the first layer."""
    modes = {1: "linear", 2: "bilinear", 3: "trilinear"}
    size = maps[0].shape[2:]
    axes = tuple(range(2, maps[0].ndim))
    layers = list[torch.Tensor]()
    for one in maps:
        highest = one.amax(axes, keepdim=True)
        relative = torch.where(highest > 0, one / highest, torch.zeros_like(one))
        resized = functional.interpolate(relative, size, mode=modes[len(size)], align_corners=False)
        if how == "refine":
            lowest, highest = resized.amin(axes, keepdim=True), resized.amax(axes, keepdim=True)
            even = highest == lowest
            resized = torch.where(even, resized, (resized - lowest) / (highest - lowest))
        layers.append(resized)
    stack = torch.stack(layers)
    joined = {"mean": stack.mean(0), "max": stack.amax(0)}
    return joined.get(how, stack.prod(0)).numpy()


def check(made: Made, results: dict[str, np.ndarray]) -> None:
    """Compare the fused maps of a run with PyTorch's formula."""
    assert made.spec.fused is not None
    maps = layercam(results, made)
    for how, name in made.spec.fused.maps.items():
        assert results[name].dtype == np.float32
        np.testing.assert_allclose(results[name], fused_by_torch(maps, how), rtol=0, atol=2e-6)


@pytest.mark.parametrize("size", [(16, 16), (9, 22)])
def test_maps_in_the_graph_are_those_of_the_formula(tmp_path: Path, size: tuple[int, int]) -> None:
    made = make(Tiny(), tmp_path / "a.onnx", size, layers=LAYERS, extras=EXTRAS)
    assert made.spec.fused is not None
    assert made.spec.fused.method == "layercam"
    assert made.spec.fused.maps == {how: f"heatmap.fuse-{how}" for how in FUSES}
    for count, classes in ((1, [[0]]), (3, [[2, -1, 4]]), (2, [[0, 1], [-1, 3]])):
        results = made.run({"x": noise(count, *size), "class_index": np.array(classes)})
        check(made, results)
        assert results["heatmap.fuse-mean"].shape == (count, len(classes[0]), *size)
        assert 0 < results["heatmap.fuse-refine"].max() <= 1


def test_a_prediction_alone_makes_no_maps(tmp_path: Path) -> None:
    made = make(Tiny(), tmp_path / "a.onnx", (16, 16), layers=LAYERS, extras=EXTRAS)
    results = made.run({"x": noise(3, 16, 16), "class_index": np.zeros((1, 0), np.int64)})
    assert {results[f"heatmap.{extra}"].shape for extra in EXTRAS} == {(3, 0, 16, 16)}


@pytest.mark.parametrize("profile", ["default", "web", "cuda"])
def test_open_sizes_and_other_profiles(tmp_path: Path, profile: Any) -> None:
    made = make(
        Tiny(), tmp_path / "a.onnx", (16, 16), layers=LAYERS, extras=EXTRAS, profile=profile,
        trace=TorchExport(dynamic_size=True),
    )  # fmt: skip
    for size in ((16, 16), (9, 22)):
        check(made, made.run({"x": noise(2, *size), "class_index": np.array([[0, 3]])}))


@pytest.mark.parametrize("space", [(12,), (5, 9), (3, 4, 6)])
def test_signals_images_and_volumes(tmp_path: Path, space: tuple[int, ...]) -> None:
    model = seeded(Conv(len(space)))
    path = tmp_path / "a.onnx"
    report = export(model, path, (torch.zeros(1, 2, *space),), layers=["fine", "coarse"],
                    extras=EXTRAS, verify="quick")  # fmt: skip
    made = Made(model, path, report.spec)
    x = np.random.default_rng(0).standard_normal((2, 2, *space)).astype(np.float32)
    results = made.run({"x": x, "class_index": np.array([[0, 2]])})
    check(made, results)
    assert results["heatmap.fuse-max"].shape == (2, 2, *space)
    assert {f"heatmap.{extra}" for extra in EXTRAS} <= {
        one.subject for one in report.verdict.findings if one.status == "pass"
    }


@pytest.mark.parametrize(
    ("kind", "layers"),
    [(Tokens, ["patch", "norm"]), (ChannelsLast, ["stem", "mix"])],
    ids=["tokens", "channels last"],
)
def test_layers_of_any_layout(
    kind: Callable[[], nn.Module], layers: list[str], tmp_path: Path
) -> None:
    made = make(kind(), tmp_path / "a.onnx", layers=layers, extras=EXTRAS)
    check(made, made.run({"x": noise(2), "class_index": np.array([[0, 1]])}))


def test_the_runtime_gives_the_same_maps(tmp_path: Path) -> None:
    options = {"layers": LAYERS, "preprocess": preprocess(input="x")}
    make(Tiny(), tmp_path / "a.onnx", (32, 32), extras=EXTRAS, **options)
    explainer = Explainer(tmp_path / "a.onnx")
    pixels = prepare(preprocess(), SCENE)[None]
    for how in FUSES:
        found = explainer.explain(SCENE, top=3, method="layercam", layer=LAYERS, fuse=how)
        baked = explainer.run(pixels, [found.classes])[f"heatmap.fuse-{how}"]
        np.testing.assert_allclose(found.maps, baked[0], rtol=0, atol=2e-6)


def test_what_is_the_same_everywhere_and_what_is_nothing() -> None:
    """A constant map refines nothing, a map of zeros empties a product; nothing is NaN."""
    varied = np.array([[[[1, 3, 2.0], [0, 2, 1]]]], np.float32)
    for other in (np.full((1, 1, 1, 2), 3.0), np.zeros((1, 1, 2, 1)), np.full((1, 1, 2, 3), 1e-30)):
        for how in FUSES:
            maps = [varied, other.astype(np.float32)]
            found = alone(maps, how)
            np.testing.assert_allclose(found, fuse(maps, how), rtol=0, atol=1e-6)
    flat = np.full((1, 1, 2, 3), 3.0, np.float32)
    flat[0, 0, 0, 0] *= 1 + 2e-7
    np.testing.assert_allclose(alone([varied, flat], "refine"), varied / 3, rtol=1e-6)


@pytest.mark.parametrize("how", FUSES)
def test_a_map_that_is_not_finite_shows_in_the_fused_one(how: Any) -> None:
    maps = [np.ones((1, 1, 2, 2), np.float32), np.array([[[[np.inf, 1], [1, 1]]]], np.float32)]
    assert not np.isfinite(alone(maps, how)).all()


def alone(maps: Sequence[np.ndarray], how: Any) -> np.ndarray:
    """Fused maps by themselves in a graph."""
    graph = ir.Graph([], [], nodes=[], opset_imports={"": 18}, name="fuse")
    for number, one in enumerate(maps):
        kind, shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape(["N", "K", *one.shape[2:]])
        graph.inputs.append(ir.Value(name=f"m{number}", type=kind, shape=shape))
    emit = Emitter(graph)
    emit.classes_dim = emit.vector([(graph.inputs[0], 1)])
    graph.outputs.append(in_graph.fuse(emit, [*graph.inputs], [*graph.inputs], how))
    graph.outputs[0].shape = ir.Shape(["N", "K", None, None])
    proto = ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString()
    feeds = {f"m{number}": one for number, one in enumerate(maps)}
    return next(iter(run(proto, feeds).values()))


def test_an_onnx_file_is_verified_with_its_fused_maps_and_can_be_cut_back(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.onnx", tmp_path / "a.onnx"
    to_onnx(seeded(Tiny()), plain)
    report = export(plain, path, layers=["relu", "relu_1"], extras="fuse-refine")
    assert report.spec.verification.verdict == "pass"
    assert [one.subject for one in report.verdict.findings if "fuse" in one.subject] == [
        "heatmap.fuse-refine"
    ]
    assert "heatmap.fuse-refine" in report.spec.own_outputs
    write_plain(path, tmp_path / "again.onnx")
    assert [one.name for one in open_session(tmp_path / "again.onnx").get_outputs()] == ["linear"]


def test_a_segmentation_model_is_verified_inside_a_region_too(tmp_path: Path) -> None:
    options = {"layers": ["stem", "mix"], "extras": EXTRAS, "verify": "quick"}
    make(Segmenter(), tmp_path / "a.onnx", (12, 12), **options)


@pytest.mark.parametrize(
    ("operation", "broken", "extra"),
    [
        ("larger", lambda ops, x, y: x, "fuse-max"),
        ("peak", lambda ops, x, axis, keep=False: x.mean([axis], keep=keep), "fuse-refine"),
        ("above", lambda ops, x, bound: x - x, "fuse-refine"),
    ],
)
def test_the_verification_sees_a_broken_operation_and_writes_nothing(
    operation: str, broken: Any, extra: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(GraphAlgebra, operation, broken)
    with pytest.raises(VerificationError, match=rf"heatmap\.{extra} is not what the runtime makes"):
        make(Tiny(), tmp_path / "a.onnx", layers=LAYERS, extras=extra, verify="quick")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [1.05, float("nan")])
def test_a_tampered_file_fails(tmp_path: Path, change: float) -> None:
    plain, path = tmp_path / "plain.onnx", tmp_path / "a.onnx"
    to_onnx(seeded(Tiny()), plain)
    export(plain, path, layers=["relu", "relu_1"], extras=EXTRAS, verify="off")
    multiply(path, tmp_path / "b.onnx", "heatmap.fuse-refine", change)
    failed = verify_artifact(tmp_path / "b.onnx", everything=True)[1].failures
    reasons = {one.check: one.reason for one in failed}
    assert {*reasons} == {"digests", "heatmap"}
    assert "heatmap.fuse-refine is not what the runtime makes" in reasons["heatmap"]


def test_a_file_that_lacks_the_map_is_refused_at_loading(tmp_path: Path) -> None:
    path = tmp_path / "a.onnx"
    make(Tiny(), path, layers=LAYERS, extras="fuse-max")
    model = ir.load(path)
    model.graph.outputs.pop()
    ir.save(model, path)
    with pytest.raises(GraftcamError, match=r"the graph lacks \['heatmap\.fuse-max'\]"):
        Session(path, "cpu")


@pytest.mark.parametrize(
    "layers", [["conv2"], None], ids=["one that is named", "the automatic one"]
)
def test_a_single_layer_is_refused(layers: Any, tmp_path: Path) -> None:
    message = "'fuse-refine' fuses the maps of several layers, and there is one; name two or more"
    with pytest.raises(LayerError, match=message):
        make(Tiny(), tmp_path / "a.onnx", layers=layers, extras="fuse-refine")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("first", "second", "message"),
    [
        ([4, 4], [8], "layers 'a' and 'b' have different axes, so that 'fuse-max' cannot fuse"),
        ([4, 4], [8, 8], "layers 'a' and 'b' have different axes"),
        ([2, 3, 4, 5], [2, 3, 4, 5], "layer 'a' has 4 axes, and a graph resizes maps of up to 3"),
    ],
)
def test_layers_without_a_grid_that_can_be_common_are_refused(
    first: list[int], second: list[int], message: str
) -> None:
    turned = (2, 1) if second == [8, 8] else ()
    value = ir.Value(name="value")
    targets = [
        Target("a", value, Arrangement("channels_first", tuple(first))),
        Target("b", value, Arrangement("channels_first", tuple(second), input_axes=turned)),
    ]
    with pytest.raises(LayerError, match=message):
        in_graph.check_fusing(targets, "fuse-max")


def test_a_detectors_levels_are_added_up_and_not_fused(tmp_path: Path) -> None:
    plain = write_model(tmp_path / "plain.onnx")
    with pytest.raises(GraftcamError, match=r"parts of one gradient, .* leave 'fuse-max' out"):
        export(plain, tmp_path / "a.onnx", extras="fuse-max")


def test_a_method_that_the_graph_does_not_fuse_is_an_unknown_extra(tmp_path: Path) -> None:
    with pytest.raises(GraftcamError, match="unknown extra 'fuse-refined'; did you mean 'fuse-ref"):
        export(Tiny(), tmp_path / "a.onnx", (torch.zeros(1, 3, 8, 8),), extras="fuse-refined")
