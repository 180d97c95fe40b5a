"""Methods as ONNX nodes against the runtime's, on the same activations and gradients."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from graftcam.exporter import LayerError, TorchExport, VerificationError, export
from graftcam.exporter.artifact.strip import write_plain
from graftcam.exporter.graph.emitter import Emitter
from graftcam.exporter.heatmap.baked import write_formula
from graftcam.exporter.heatmap.channel_rows import ChannelRows
from graftcam.exporter.heatmap.graph_operations import GraphOperations
from graftcam.exporter.verify.checks.baked_methods import check_baked
from graftcam.runtime import Explainer, GraftcamError
from graftcam.runtime.methods.operations import Algebra, Operations
from graftcam.runtime.methods.table import METHODS
from graftcam.runtime.spec import Spec
from support.artifacts import SCENE, preprocess, spec
from support.exports import make, to_onnx
from support.images import noise
from support.nets import ChannelsLast, Segmenter, Tiny, Tokens, seeded
from support.nets import Flat as Unpooled
from support.sessions import open_session, run

BAKED = [method for method, record in METHODS.items() if record.is_formula and method != "gradcam"]
EIGEN = ["eigencam", "eigengradcam", "kpcacam"]
NOT_POOLED = [method for method in BAKED if method != "cam"]
CLASSES = [[2, 0, -1, 3, 1]]


def tensors(images: int, classes: int, channels: int, *space: int) -> tuple[Any, Any]:
    """Activations [N, C, *space] and gradients [N, K, C, *space]: random numbers of both signs."""
    generator = np.random.default_rng(0)
    shapes = (images, channels, *space), (images, classes, channels, *space)
    activations, gradients = (generator.normal(size=shape).astype(np.float32) for shape in shapes)
    return activations, gradients


def compare_baked(results: dict[str, Any], spec: Spec, method: str) -> float:
    """Compare a method's baked maps of all layers with the runtime's; the largest value seen."""
    largest = 0.0
    for layer in spec.layers:
        truth = METHODS[method](results[layer.activations], results[layer.gradients])
        baked = results[layer.baked[method]]
        assert baked.dtype == np.float32
        assert baked.shape == truth.shape
        # float32 sums in another order; for components, of inner products, over the gap between
        # the first two eigenvalues, which is above a tenth here.
        scale = np.abs(truth).max(initial=0)
        tolerance = 1e-3 if method in EIGEN else 1e-4
        np.testing.assert_allclose(baked, truth, rtol=0, atol=tolerance * scale + 1e-9)
        largest = max(largest, float(scale))
    return largest


LAYERS: dict[str, tuple[type[nn.Module], list[str], list[str]]] = {
    "pooled": (Tiny, ["relu2"], BAKED),
    "unpooled": (Unpooled, ["body"], NOT_POOLED),
    "channels last": (ChannelsLast, ["mix"], NOT_POOLED),
    "tokens behind a class token": (Tokens, ["norm"], NOT_POOLED),
    "several layers": (Tiny, ["conv1", "conv2"], NOT_POOLED),
}


@pytest.mark.parametrize(("kind", "layers", "methods"), LAYERS.values(), ids=LAYERS)
def test_baked_maps_are_the_runtimes(
    kind: type[nn.Module], layers: list[str], methods: list[str], tmp_path: Path
) -> None:
    artifact = make(kind(), tmp_path / "a.onnx", layers=layers, extras=methods)
    spec = artifact.spec
    many = len(layers) > 1
    for layer in spec.layers:
        suffix = f".{layer.name}" if many else ""
        assert layer.methods == {m: f"heatmap.{m}{suffix}" for m in methods}
    x = noise(3)
    results = artifact.run({"x": x, "class_index": np.array(CLASSES)[:, :4]})
    for method in methods:
        # Of four places none is two deviations above their mean.
        assert compare_baked(results, spec, method) > 0 or method == "fem"
    for index in (np.zeros((1, 0), np.int64), np.array([[1]])):
        results = artifact.run({"x": x, "class_index": index})
        for method in {*methods} - {"finercam"}:
            compare_baked(results, spec, method)
        for layer in spec.layers:
            for name in layer.baked.values():
                assert results[name].shape == (3, index.size, *results[name].shape[2:])


def test_a_single_class_has_no_other_to_compare_with(tmp_path: Path) -> None:
    artifact = make(Tiny(), tmp_path / "a.onnx", layers="relu2", extras="finercam")
    results = artifact.run({"x": noise(2)})
    assert artifact.spec.layers[0].methods == {"finercam": "heatmap.finercam"}
    np.testing.assert_allclose(results["heatmap.finercam"], 0.4 * results["heatmap"], rtol=1e-4)


def test_open_sizes_and_the_web_profile(tmp_path: Path) -> None:
    """An open number of places decides neither the sides of a matrix nor any other shape."""
    for profile in ("default", "web"):
        artifact = make(
            Tiny(), tmp_path / f"{profile}.onnx", (16, 16), layers="relu2", extras=BAKED,
            trace=TorchExport(dynamic_size=True), profile=profile,
        )  # fmt: skip
        for size in ((16, 16), (9, 22)):
            results = artifact.run({"x": noise(2, *size), "class_index": np.array(CLASSES)})
            for method in BAKED:
                assert compare_baked(results, artifact.spec, method) > 0


def test_an_onnx_file_is_verified_with_its_baked_maps(tmp_path: Path) -> None:
    plain, path = tmp_path / "plain.onnx", tmp_path / "a.onnx"
    to_onnx(seeded(Unpooled()), plain)
    report = export(plain, path, extras=NOT_POOLED)
    explainer = Explainer(path)
    results = explainer.run(np.ones((1, 3, 8, 8), np.float32), CLASSES)
    assert set(report.spec.layers[0].outputs) <= set(results)
    write_plain(path, tmp_path / "again.onnx")
    names = open_session(tmp_path / "again.onnx").get_outputs()
    assert [output.name for output in names] == [report.spec.score.output]


def test_a_segmentation_model_is_verified_inside_a_region_too(tmp_path: Path) -> None:
    """The verification runs with two regions and joins their classes; baked maps are of one."""
    options = {"layers": "mix", "extras": ["layercam", "finercam"], "verify": "quick"}
    make(Segmenter(), tmp_path / "a.onnx", (12, 12), **options)


# The smallest change of an operation, and methods that it shows in.
BROKEN: dict[str, tuple[Callable[..., Any], list[str]]] = {
    "relu": (lambda ops, x: x, ["layercam", "gradcam++"]),
    "root": (lambda ops, x: x, ["fem"]),
    "above": (lambda ops, x, bound: x.indicator(x.below(bound)), ["fem"]),
    "quotient": (lambda ops, x, divisor: x, ["xgradcam"]),
    "sum": (lambda ops, x, axis, keep=False: x.mean([axis], keep=keep), ["hirescam"]),
    "mean": (lambda ops, x, axis, keep=False: x.sum([axis], keep=keep), ["counterfactual"]),
    "norm": (lambda ops, x, axis, keep=False: x.sum([axis], keep=keep), ["finercam"]),
    "product": (lambda ops, x, y: y, ["finercam"]),
    "inner": (lambda ops, x, y: -(x @ y.op("Transpose", perm=[0, 2, 1])), ["finercam"]),
    "combine": (lambda ops, w, a: -(w @ a.op("Squeeze", w.emit.ints([1]))), ["xgradcam"]),
    "nearest": (lambda ops, likeness, count: likeness, ["finercam"]),
    "first_component": (
        lambda ops, terms, centre=True, kernel=None: terms.mean([2], keep=False),
        ["eigencam", "kpcacam"]),
}  # fmt: skip


def test_the_verification_sees_a_broken_operation_and_writes_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Finer-CAM takes the least similar classes: of two classes, these are the nearest, too."""
    monkeypatch.setattr(GraphOperations, "inner", BROKEN["inner"][0])
    path = tmp_path / "a.onnx"
    with pytest.raises(VerificationError, match=r"heatmap\.finercam is not what the runtime makes"):
        export(seeded(Unpooled()), path, (torch.randn(1, 3, 8, 8),), extras=["finercam"])
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("operation", BROKEN)
def test_the_check_sees_each_operation_broken(
    operation: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    activations, gradients = tensors(3, 6, 6, 4, 5)
    results = {"activations": 3 * activations, "gradients": gradients}
    broken, methods = BROKEN[operation]

    def check(method: str) -> None:
        check_baked({**results, "m": alone(method, *results.values())}, _spec(method))

    for method in methods:
        check(method)
    monkeypatch.setattr(GraphOperations, operation, broken)
    for method in methods:
        with pytest.raises(VerificationError, match="is not what the runtime makes"):
            check(method)


def test_every_operation_with_a_result_is_broken_above() -> None:
    both = {*vars(Algebra), *vars(Operations)}
    operations = {name for name in both if not name.startswith("_")}
    queries = {"is_constant", "classes", "places"}
    elsewhere = {"peak", "insert", "larger"}  # broken in `test_attention` and `test_fused_maps`
    assert operations - queries - elsewhere - {"at_places"} == set(BROKEN)


@pytest.mark.parametrize("method", BAKED)
def test_the_check_sees_each_method_exchanged_for_its_neighbour(
    method: str, tmp_path: Path
) -> None:
    """Mistakes of a few percent are seen, rounding is not."""
    activations, gradients = tensors(3, 4, 6, 4, 4)
    activations = np.abs(activations)
    if method == "cam":
        gradients[...] = gradients[..., :1, :1]
    truth = METHODS[method](activations, gradients)
    spec = _spec(method)
    results = {"activations": activations, "gradients": gradients, "m": truth}
    check_baked(results, spec)
    check_baked({**results, "m": truth * (1 + 1e-6)}, spec)
    nothing = np.zeros_like(truth), np.full_like(truth, np.nan), truth[:, :, 1:]
    for wrong in (truth * 1.05, np.roll(truth, 1, axis=3), *nothing):
        with pytest.raises(VerificationError, match="m is not what the runtime makes of"):
            check_baked({**results, "m": wrong.astype(np.float32)}, spec)


def _spec(method: str) -> Spec:
    record = spec()
    return replace(record, layers=[replace(record.layers[0], methods={method: "m"})])


def test_the_runtime_takes_what_is_baked_and_makes_the_rest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, extras = tmp_path / "a.onnx", ["layercam", "finercam"]
    make(Tiny(), path, (32, 32), layers="relu2", extras=extras, preprocess=preprocess(input="x"))
    explainer = Explainer(path)
    made = explainer.explain(SCENE, top=3, method="hirescam").maps
    smooth = explainer.explain(SCENE, top=3, method="layercam", options={"eigen_smooth": True}).maps
    monkeypatch.delitem(METHODS, "layercam")
    with pytest.raises(GraftcamError, match="unknown method 'layercam'"):
        explainer.explain(SCENE, top=3, method="layercam")
    monkeypatch.setitem(METHODS, "layercam", METHODS["hirescam"])
    baked = explainer.explain(SCENE, top=3, method="layercam").maps
    assert np.abs(baked - made).max() > 0
    assert np.abs(baked - smooth).max() > 0
    with pytest.raises(GraftcamError, match="explain two or more at once"):
        explainer.explain(SCENE, method="finercam")


@pytest.mark.parametrize(
    ("methods", "message"),
    [
        (["layer-cam"], r"unknown extra 'layer-cam'; did you mean 'layercam'"),
        ("smooth", r"unknown extra 'smooth'; .*there is head, .*gradcam\+\+, xgradcam, hirescam"),
        (["layercam", "rise"], r"method 'rise' runs outside of the graph; it needs no extra"),
        ([3], r"extras takes names such as 'head', not \[3\]"),
    ],
)
def test_methods_that_no_graph_can_compute_are_refused(
    methods: Any, message: str, tmp_path: Path
) -> None:
    with pytest.raises(GraftcamError, match=message):
        export(Tiny(), tmp_path / "a.onnx", (torch.randn(1, 3, 8, 8),), extras=methods)


def test_cam_is_refused_where_it_is_not_defined(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match=r"layer 'body': .* differs from place to place"):
        make(Unpooled(), tmp_path / "a.onnx", layers="body", extras="cam")
    assert list(tmp_path.iterdir()) == []


def test_grad_cam_is_there_anyway_and_the_metadata_stays_as_it_was(tmp_path: Path) -> None:
    spec = make(Tiny(), tmp_path / "a.onnx", extras=["gradcam"]).spec
    assert spec.layers[0].methods is None
    assert spec.layers[0].baked == {"gradcam": "heatmap"}
    assert "methods" not in json.loads(spec.to_json())["layers"][0]


def alone(method: str, activations: Any, gradients: Any, *, fixed: bool = True) -> Any:
    """A baked method by itself in a graph, on tensors of one's own; the extents of space open."""
    images, channels, *space = activations.shape
    dims = space if fixed else [f"side{axis}" for axis in range(len(space))]
    graph = ir.Graph([], [], nodes=[], opset_imports={"": 18}, name="method")
    for name, extents in (("a", [images, channels]), ("g", [images, "K", channels])):
        kind, shape = ir.TensorType(ir.DataType.FLOAT), ir.Shape([*extents, *dims])
        graph.inputs.append(ir.Value(name=name, type=kind, shape=shape))
    emit = Emitter(graph)
    emit.classes_dim = emit.vector([(graph.inputs[1], 1)])
    rows = ChannelRows.of(emit, *graph.inputs)
    made = write_formula(emit, method, rows, constant=method == "cam")
    made.shape = ir.Shape([images, "K", *dims])
    graph.outputs.append(made)
    proto = ir.to_proto(ir.Model(graph, ir_version=10)).SerializeToString()
    return next(iter(run(proto, {"a": activations, "g": gradients}).values()))


@pytest.mark.parametrize("method", BAKED)
@pytest.mark.parametrize("channels", [6, 40, 600])
def test_a_method_by_itself_is_the_runtimes(method: str, channels: int) -> None:
    """Fewer channels than places, more of them, and so many that they decide of themselves."""
    for classes, fixed, space in ((0, True, (5, 4)), (5, True, (5, 4)), (2, False, (2, 3, 3))):
        activations, gradients = tensors(2, classes, channels, *space)
        # Divisors of negative sums pass through 0, and rounding with them.
        behind_relu = slice(None) if method in ("gradcam++", "xgradcam") else slice(1)
        activations[behind_relu] = np.maximum(activations[behind_relu], 0)
        if method == "cam":
            gradients[...] = gradients.mean(axis=tuple(range(3, gradients.ndim)), keepdims=True)
        truth = METHODS[method](activations, gradients)
        found = alone(method, activations, gradients, fixed=fixed)
        assert found.shape == truth.shape
        scale = np.abs(truth).max(initial=0)
        tolerance = 1e-3 if method in EIGEN else 1e-4  # as in `compare_baked`
        np.testing.assert_allclose(found, truth, rtol=0, atol=tolerance * scale)


@pytest.mark.parametrize("method", EIGEN)
@pytest.mark.parametrize("channels", [4, 40], ids=["few channels", "many channels"])
def test_components_of_zeros_of_tiny_and_of_huge_numbers(method: str, channels: int) -> None:
    activations, gradients = tensors(1, 2, channels, 3, 4)
    for scale in (0.0, 1e-25, 5e-4, 1e25):
        if method == "kpcacam" and scale == 1e25:
            continue  # its kernel has a scale of its own, and is 1 or -1 then
        a, g = np.abs(activations), gradients
        if method == "eigengradcam":
            g = g * np.float32(scale)
        else:
            a = a * np.float32(scale)
        truth = METHODS[method](a, g)
        found = alone(method, a, g)
        assert np.isfinite(found).all()
        # As in `compare_baked`.
        np.testing.assert_allclose(found, truth, rtol=0, atol=1e-3 * truth.max())


@pytest.mark.parametrize("method", EIGEN)
def test_components_of_constant_channels_are_nothing_and_not_rounding(method: str) -> None:
    """The mean of 49 times 0.1 is not 0.1 in float32."""
    generator = np.random.default_rng(0)
    activations = np.broadcast_to(generator.random((1, 5, 1, 1), np.float32), (1, 5, 7, 7)).copy()
    gradients = np.ones((1, 1, 5, 7, 7), np.float32)
    assert METHODS[method](activations, gradients).max() == 0
    assert alone(method, activations, gradients).max() == 0


@pytest.mark.parametrize("gap", [0.5, 0.1, 0.01, 0.003])
def test_components_are_distinguished_down_to_a_gap_of_a_few_thousandths(gap: float) -> None:
    """Two orthogonal channels of nearly equal strength, so that the gap is that of eigenvalues."""
    one, other = np.array([1, -1, 1, -1, 0, 0.0]), np.array([1, 1, -1, -1, 2, -2.0])
    strong = one / np.linalg.norm(one)
    weak = np.sqrt(1 - gap) * other / np.linalg.norm(other)
    activations = np.stack([strong, weak, 0 * weak])[None].astype(np.float32)
    gradients = np.ones((1, 1, 3, 6), np.float32)
    expected = np.maximum(METHODS["eigencam"](activations, gradients)[0, 0], 0)
    found = alone("eigencam", activations, gradients)[0, 0]
    # What is left of the second component, and float32's rounding over the gap.
    left = (1 - gap) ** (2**12) + 1e-6 / gap
    np.testing.assert_allclose(found, expected, rtol=0, atol=left)
