"""Bags of images [N, T, C, H, W] that a model flattens: a map for each instance."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
import torch
from torch import nn

from graftcam.exporter import LayerError, TorchExport, candidates_of, export
from support.nets import seeded
from support.onnx_text import parsed
from support.sessions import open_session

RNG = np.random.default_rng(0)
BAGS = """<ir_version: 8, opset_import: ["" : 18]>
    bags (float[N, 4, 3, 6, 8] image) => (float[N, 2] logits)
    {
        centred = Sub(image, half)
        rows = Reshape(centred, images)
        product = Conv(rows, kernel)
        map = Sigmoid(product)
        sums = ReduceMean(map, space)
        bags = Reshape(sums, instances)
        weights = Softmax <axis = 1> (bags)
        weighted = Mul(weights, bags)
        feature = ReduceSum <keepdims = 0> (weighted, one)
        logits = Gemm(feature, head)
    }"""
CONSTANTS = {
    "half": np.float32(0.5), "images": np.int64([-1, 3, 6, 8]), "space": np.int64([2, 3]),
    "instances": np.int64([-1, 4, 5]), "one": np.int64([1]),
    "kernel": RNG.standard_normal((5, 3, 3, 3)).astype(np.float32),
    "head": RNG.standard_normal((5, 2)).astype(np.float32),
}  # fmt: skip
# Other ways from the input to the images.
CLIPS = BAGS.replace("N, 4, 3, 6, 8", "N, 3, 4, 6, 8").replace(
    "rows =", "frames = Transpose <perm = [0, 2, 1, 3, 4]> (centred)\n rows ="
).replace("Reshape(centred", "Reshape(frames")  # fmt: skip
BATCH_LAST = BAGS.replace(
    "rows =", "turned = Transpose <perm = [1, 0, 2, 3, 4]> (centred)\n rows ="
).replace("Reshape(centred", "Reshape(turned")
BACKWARDS = BAGS.replace(
    "rows =", "turned = Gather <axis = 1> (centred, order)\n rows ="
).replace("Reshape(centred", "Reshape(turned")  # fmt: skip


def write(path: Path, text: str) -> Path:
    constants = dict(CONSTANTS)
    if "order" in text:
        constants["order"] = np.int64([3, 2, 1, 0])
    onnx.save(parsed(text, constants), path)
    return path


@pytest.mark.parametrize(("text", "axis"), [(BAGS, 1), (CLIPS, 2)], ids=["bags", "clips"])
def test_each_instance_has_its_own_map(tmp_path: Path, text: str, axis: int) -> None:
    path = tmp_path / "m.onnx"
    report = export(write(tmp_path / "plain.onnx", text), path, verify="full")
    (layer,) = report.spec.layers
    assert (layer.name, layer.layout, layer.grid) == ("map", "instances", [4, 4, 6])
    assert report.verdict is not None
    assert report.verdict.by_check()["determinism"] == "pass"
    session = open_session(path)
    bags = RNG.random(session.get_inputs()[0].shape[1:], np.float32)[None].repeat(3, 0)
    changed = bags.copy()
    changed[(1, 2) if axis == 1 else (1, slice(None), 2)] += 1  # the third instance of one bag
    names = [layer.activations, layer.heatmap]
    before, after = (session.run(names, {"image": one}) for one in (bags, changed))
    assert before[1].shape == (3, 1, 4, 4, 6)
    moved = np.abs(after[0] - before[0]).max(axis=(1, 3, 4))
    assert np.argwhere(moved).tolist() == [[1, 2]]


@pytest.mark.parametrize("text", [BATCH_LAST, BACKWARDS], ids=["batch last", "backwards"])
def test_another_order_of_the_instances_is_refused(tmp_path: Path, text: str) -> None:
    plain = write(tmp_path / "plain.onnx", text)
    with pytest.raises(LayerError, match="not show that it holds the images of each bag or clip"):
        export(plain, tmp_path / "m.onnx", layers="map")
    assert [one.name for one in candidates_of(plain) if one.usable] == []


def test_several_layers_have_maps_and_the_models_outputs_stay(tmp_path: Path) -> None:
    plain, path = write(tmp_path / "plain.onnx", BAGS), tmp_path / "m.onnx"
    spec = export(plain, path, layers=["product", "map"], extras=["layercam", "head"]).spec
    assert [layer.layout for layer in spec.layers] == ["instances", "instances"]
    bags = RNG.random((2, 4, 3, 6, 8), np.float32)
    (own,), (source,) = (
        open_session(one).run(["logits"], {"image": bags}) for one in (path, plain)
    )
    np.testing.assert_array_equal(own, source)


def test_a_token_for_each_instance_is_no_place(tmp_path: Path) -> None:
    found = {one.name: one for one in candidates_of(write(tmp_path / "plain.onnx", BAGS))}
    assert found["weighted"].reason == "no grid fits its tokens"
    with pytest.raises(LayerError, match="4 tokens fit the grid of no convolution"):
        export(tmp_path / "plain.onnx", tmp_path / "m.onnx", layers="weighted")


class Bags(nn.Module):
    """One network for all images of a bag, and the mean of what it sees."""

    def __init__(self) -> None:
        super().__init__()
        self.cnn = nn.Conv2d(3, 5, 3, stride=2)
        self.head = nn.Linear(5, 2)

    def forward(self, bags: torch.Tensor) -> torch.Tensor:
        rows = self.cnn(bags.flatten(0, 1)).sigmoid().square().mean((2, 3))
        return self.head(rows.unflatten(0, bags.shape[:2]).amax(1))


@pytest.mark.parametrize("dynamic", [True, False])
def test_a_modules_instances_agree_with_autograd(tmp_path: Path, dynamic: bool) -> None:
    trace, example = TorchExport(dynamic_batch=dynamic), torch.rand(1, 4, 3, 8, 8)
    report = export(seeded(Bags()), tmp_path / "m.onnx", (example,), trace=trace)
    (layer,) = report.spec.layers
    assert (layer.name, layer.layout, layer.grid) == ("cnn", "instances", [4, 3, 3])
    assert report.verification.verdict == "pass"
