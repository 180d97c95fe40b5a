"""Artifacts with shuffled weights: their gradients are those of the shuffled model."""

from __future__ import annotations

from copy import deepcopy
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
import torch
from onnx import numpy_helper
from torch import nn

from graftcam.demo.bundled import images
from graftcam.demo.run import export_digits
from graftcam.exporter import export
from graftcam.exporter.shrink import shrink
from graftcam.runtime.errors import InputError
from graftcam.runtime.methods.dispatch import run_method
from graftcam.runtime.methods.method_io import MethodInput
from graftcam.runtime.session.session import Session
from graftcam.runtime.spec import Layer
from graftcam.runtime.tools.evaluate.randomise.onnx_graph import OnnxGraph
from graftcam.runtime.tools.evaluate.randomise.randomised import Randomised
from graftcam.runtime.tools.evaluate.randomise.shuffle import write_shuffled
from graftcam.runtime.tools.evaluate.randomise.weights import find_weights
from support.heads import Skip, export_with_head, torch_head
from support.images import noise
from support.nets import ChannelsLast, Flat, Residual, Tiny, seeded
from support.nets_wide import Mobile, Transformer
from support.small_vit import SmallVit

TOLERANCE = 2e-4  # relative, of float32 against float64 a few layers deep


class Tied(nn.Module):
    """A block that is used twice, and two layers with one weight, one of them transposed."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 2, 2)
        self.block = nn.Conv2d(8, 8, 3, padding=1)
        self.narrow = nn.Linear(8, 5, bias=False)
        self.head = nn.Linear(8, 5)
        self.head.weight = self.narrow.weight

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.block(torch.tanh(self.block(torch.tanh(self.patch(x))))))
        tokens = torch.tanh(self.narrow(x.flatten(2).transpose(1, 2)))
        return self.head((tokens @ self.narrow.weight).mean(1))


class Products(nn.Module):
    """A transposed convolution, an Einstein sum and a recurrent layer."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, 2, 1)
        self.up = nn.ConvTranspose2d(4, 6, 2, 2)
        self.mix = nn.Parameter(torch.empty(6, 7))
        self.rnn = nn.RNN(7, 4, batch_first=True)
        self.head = nn.Linear(4, 5)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = torch.tanh(self.up(torch.tanh(self.stem(x))))
        rows = torch.einsum("nchw,cd->nhd", x, self.mix)
        return self.head(self.rnn(rows)[0][:, -1])


# Model, layer, image size, number of weights.
CASES: dict[str, tuple[Any, str, tuple[int, int], int]] = {
    "batch norm, merged into a convolution": (Tiny, "relu1", (8, 8), 3),
    "batch norm between the layer and the score": (Tiny, "conv1", (8, 8), 3),
    "no pool": (Flat, "body", (8, 8), 3),
    "residual block, max pool, two linear layers": (Residual, "stem", (12, 8), 5),
    "grouped, depthwise, strided, gated": (Mobile, "norm", (24, 24), 8),
    "vision transformer, one weight for query, key and value": (Transformer, "patch", (8, 12), 6),
    "vision transformer, square weights": (SmallVit, "blocks.0", (24, 32), 20),
    "channels last": (ChannelsLast, "norm", (6, 5), 3),
    "tied weights": (Tied, "patch", (8, 8), 3),
    "other products": (Products, "stem", (8, 8), 6),
}


def arrays(path: Path) -> dict[str, np.ndarray]:
    """The floating-point initializers of a file with two axes or more."""
    found = onnx.load(path).graph.initializer
    return {
        one.name: numpy_helper.to_array(one).astype(np.float64)
        for one in found
        if len(one.dims) > 1 and one.data_type in (1, 10)
    }


def moved(module: nn.Module, plain: Path, shuffled: Path) -> tuple[nn.Module, list[str]]:
    """A copy of ``module`` in float64 with the weights of a shuffled file, and their names in it.

    A parameter is found by its numbers: as they are, transposed, or times a factor for each output
    channel, as in a convolution that a batch norm was merged into.
    """
    module = deepcopy(module).double()
    parameters = [(one, one.detach().numpy().copy()) for one in module.parameters() if one.ndim > 1]
    before, after = arrays(plain), arrays(shuffled)
    changed = [name for name in before if not np.array_equal(before[name], after[name])]
    for name in changed:
        old, new = before[name], after[name]
        assert np.array_equal(np.sort(old.ravel()), np.sort(new.ravel()))  # a permutation
        found = [_moved(one, old, new) or _moved(one, old.T, new.T) for one in parameters]
        assert any(found), name
    return module, changed


def _moved(parameter: tuple[nn.Parameter, np.ndarray], old: np.ndarray, new: np.ndarray) -> bool:
    """Whether a parameter had the numbers ``old``; it then gets the numbers ``new``."""
    target, plain = parameter
    if old.size != plain.size or (old.ndim == 2 == plain.ndim and old.shape != plain.shape):
        return False
    old, new = old.reshape(plain.shape), new.reshape(plain.shape)
    factor = np.median((old / plain).reshape(len(plain), -1), 1)
    factor = factor.reshape(-1, *[1] * (plain.ndim - 1))
    if not np.allclose(old, plain * factor, rtol=1e-4, atol=1e-6):
        return False
    target.data.copy_(torch.from_numpy(new / factor))
    return True


def expected(
    module: nn.Module, layer: Layer, x: np.ndarray, classes: list[int]
) -> dict[str, np.ndarray]:
    """The layer's activations, gradients and Grad-CAM maps, channel-first."""
    kept: list[torch.Tensor] = []
    handle = module.get_submodule(layer.name).register_forward_hook(
        lambda _, __, output: kept.append(output.clone()) or kept[-1].clone()
    )
    scores = module(torch.from_numpy(x).double())
    handle.remove()
    grads = [torch.autograd.grad(scores[:, k].sum(), kept[0], retain_graph=True) for k in classes]

    def laid(value: torch.Tensor) -> np.ndarray:
        if layer.layout == "channels_last":
            value = value.permute(0, 3, 1, 2)
        if layer.layout == "tokens":
            value = value[:, layer.prefix_tokens :].transpose(1, 2).unflatten(2, layer.grid)
        return value.detach().numpy()

    gradients = np.stack([laid(one) for (one,) in grads], 1)
    activations = laid(kept[0])
    heatmap = gradients.mean((3, 4), keepdims=True) * activations[:, None]
    return {
        layer.activations: activations, layer.gradients: gradients,
        layer.heatmap: np.maximum(heatmap.sum(2), 0),
    }  # fmt: skip


def far(found: np.ndarray, wanted: np.ndarray) -> float:
    assert found.shape == wanted.shape
    return float(np.linalg.norm(found - wanted) / np.linalg.norm(wanted))


@pytest.mark.parametrize("case", CASES)
def test_gradients_are_those_of_the_shuffled_model(case: str, tmp_path: Path) -> None:
    kind, layer, size, count = CASES[case]
    module, path = seeded(kind()), tmp_path / "m.onnx"
    spec = export(module, path, (torch.zeros(2, 3, *size),), layers=layer, verify="off").spec
    graph, x = OnnxGraph(path), noise(2, *size)
    weights = find_weights(graph, {spec.score.value})
    assert len(weights.found) == count
    plain = Session(path).run({"x": x, "class_index": np.array([[3, 0]])})
    for top in sorted({1, count // 2, count}):
        folder = tmp_path / str(top)
        folder.mkdir()
        shuffled = write_shuffled(graph, weights.top(top), 0, folder)
        own, changed = moved(module, path, shuffled)
        assert {*changed} == {*chain.from_iterable([*weights.found.values()][:top])}
        found = Session(shuffled).run({"x": x, "class_index": np.array([[3, 0]])})
        wanted = expected(own, spec.layers[0], x, [3, 0])
        assert far(found[spec.layers[0].gradients], plain[spec.layers[0].gradients]) > 0.05
        for name, value in wanted.items():
            assert far(found[name], value) < TOLERANCE, name


def test_what_is_no_operand_of_a_product_is_left_out_by_name(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    example = (torch.zeros(2, 3, 24, 32),)
    spec = export(seeded(SmallVit()), path, example, layers="blocks.0", verify="off").spec
    assert find_weights(OnnxGraph(path), {spec.score.value}).left_out == ["tokens", "position"]


def test_copies_for_openvino_are_made_of_the_shuffled_weight(tmp_path: Path) -> None:
    module, path = seeded(SmallVit()), tmp_path / "m.onnx"
    example = (torch.zeros(2, 3, 24, 32),)
    spec = export(module, path, example, layers="blocks.0", verify="off", profile="openvino").spec
    names = [node.op_type for node in onnx.load(path).graph.node]
    assert "Neg" in names  # the copies
    with Randomised(path, spec, Session, stages=1) as randomised:
        x = noise(2, 24, 32)
        graph = OnnxGraph(path)
        (tmp_path / "s").mkdir()
        shuffled = write_shuffled(graph, randomised.weights.top(20), 0, tmp_path / "s")
        wanted = expected(moved(module, path, shuffled)[0], spec.layers[0], x, [1])
        found = randomised.session(0).run({"x": x, "class_index": np.array([[1]])})
    for name, value in wanted.items():
        assert far(found[name], value) < TOLERANCE, name


def test_a_head_is_shuffled_like_its_artifact(tmp_path: Path) -> None:
    module, path = seeded(Skip()), tmp_path / "m.onnx"
    spec = export_with_head(module, path, "act")
    layer, x = spec.layers[0], noise(2)
    with Randomised(path, spec, Session, stages=2, seed=3) as randomised:
        assert len(randomised.sessions) == 2
        for stage, session in enumerate(randomised.sessions):
            head = randomised.heads(stage).of(layer)
            whole = {"x": x, **session.run({"x": x})}
            feeds = {head.activations: whole[layer.activations]}
            feeds |= {name: whole[source] for name, source in head.beside.items()}
            found = head.session.run(feeds)
            assert far(found[head.session.spec.score.output], whole[spec.score.output]) < 1e-5
            own = head.session.spec.layers[0]
            assert far(found[own.gradients], whole[layer.gradients]) < 1e-4
            feeds = {"x": x, "class_index": np.array([[1]])}
            batch = MethodInput(session, feeds, "x", layer, None, randomised.heads(stage))
            assert np.isfinite(run_method(batch, "ablationcam", {}).maps).all()
            # The head is another function than that of the model as it is.
            intact = torch_head(module, layer, torch.from_numpy(x))
            scores = intact(torch.from_numpy(whole[layer.activations])).detach().numpy()
            assert far(whole[spec.score.output], scores) > 0.05


def test_weights_beside_the_file_are_shuffled_in_a_copy(tmp_path: Path) -> None:
    module, plain, path = seeded(Tiny()), tmp_path / "plain.onnx", tmp_path / "m.onnx"
    spec = export(module, plain, (torch.zeros(2, 3, 8, 8),), layers="relu1", verify="off").spec
    # ONNX Runtime reads shapes from the file itself only.
    onnx.save(
        onnx.load(plain), path, save_as_external_data=True, location="m.bin", size_threshold=300
    )
    before = {one: one.read_bytes() for one in (path, tmp_path / "m.bin")}
    x = noise(2)
    with Randomised(path, spec, Session) as one, Randomised(plain, spec, Session) as other:
        for a, b in zip(one.sessions, other.sessions, strict=True):
            found, wanted = a.run({"x": x}), b.run({"x": x})
            for name, value in wanted.items():
                np.testing.assert_array_equal(found[name], value)
    assert {one: one.read_bytes() for one in before} == before
    assert sorted(one.name for one in tmp_path.iterdir()) == ["m.bin", "m.onnx", "plain.onnx"]


@pytest.fixture(scope="module")
def digits(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The digits' artifact with a head; its layer lies below six convolutions."""
    path = tmp_path_factory.mktemp("digits") / "digits.onnx"
    export_digits(path, layers="layer1", verify="off", extras=["head"])
    return path


@pytest.mark.parametrize(("precision", "most"), [("float16", 0.02), ("int8", 0.5)])
def test_smaller_copies_are_shuffled_with_their_gradients(
    precision: Any, most: float, digits: Path, tmp_path: Path
) -> None:
    """Compared with the artifact itself, into which the shuffled copy's weights are written.

    The ranges of int8 activations were measured on the model as it was, and cut some off.
    """
    small, again = tmp_path / "small.onnx", tmp_path / "again.onnx"
    shrink(digits, small, precision, [one.path for one in images()], at_least=0.8)
    spec = Session(small).spec
    graph = OnnxGraph(small)
    weights = find_weights(graph, {spec.score.value})
    assert len(weights.found) == 11
    (tmp_path / "s").mkdir()
    shuffled = write_shuffled(graph, weights.top(6), 0, tmp_path / "s")
    model, by_name = onnx.load(digits), {}
    for one in onnx.load(shuffled).graph.initializer:
        by_name[one.name] = numpy_helper.to_array(one)
    for one in model.graph.initializer:
        codes = by_name.get(f"{one.name}_quantized")
        if codes is not None and len(one.dims) > 1:
            scale = by_name[f"{one.name}_scale"].reshape(-1, *[1] * (codes.ndim - 1))
            one.CopyFrom(numpy_helper.from_array((codes * scale).astype(np.float32), one.name))
        elif one.name in by_name and len(one.dims) > 1:
            value = by_name[one.name].astype(numpy_helper.to_array(one).dtype)
            one.CopyFrom(numpy_helper.from_array(value, one.name))
    onnx.save(model, again)
    x = {Session(again).spec.preprocess.input: noise(2, *spec.preprocess.size)}
    feeds = {**x, "class_index": np.array([[1, 4]])}
    found, wanted = Session(shuffled).run(feeds), Session(again).run(feeds)
    name = spec.layers[0].gradients
    assert far(found[name], wanted[name]) < most
    assert far(Session(small).run(feeds)[name], wanted[name]) > 2 * most


def test_the_head_of_the_full_precision_does_not_serve_a_smaller_copy(
    digits: Path, tmp_path: Path
) -> None:
    small = digits.with_name("small.onnx")
    shrink(digits, small, "float16", [one.path for one in images()], at_least=0.8)
    spec = Session(small).spec
    with (
        Randomised(small, spec, Session, stages=1) as randomised,
        pytest.raises(InputError, match=r"digits.head.onnx has other weights than small.onnx"),
    ):
        randomised.heads(0).of(spec.layers[0])


def test_an_optimised_file_is_refused(digits: Path, tmp_path: Path) -> None:
    from graftcam.runtime.session.optimize import optimize

    optimize(digits, tmp_path / "fast.onnx", "cpu")
    open_cpu = partial(Session, providers="cpu")
    with pytest.raises(InputError, match="use the original artifact"):
        Randomised(tmp_path / "fast.onnx", Session(digits).spec, open_cpu)
