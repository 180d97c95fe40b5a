"""Which layers the automatic choice takes: the same rules for modules and for ONNX values."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import onnx
import pytest
import torch
from torch import nn

from graftcam.exporter import candidates_of
from graftcam.exporter.locate.layer_rules import LayerFacts, Surroundings, judge_layer, ranked
from support.nets import seeded

MAP = LayerFacts("conv", "Conv2d", (1, 8, 14, 14), grids=((14, 14),))
TOKENS = LayerFacts("block", "Block", (1, 50, 16), tokens=True, grids=((7, 7),))
AROUND = Surroundings.of([(28, 28)], [(1, 50, 16), (1, 50, 16), (1, 50, 64)])

FAULTS: dict[str, tuple[LayerFacts, dict[str, Any]]] = {
    "no spatial axes": (MAP, {"shape": (1, 8)}),
    "its first axis is not the batch (a window partition, perhaps)": (MAP, {"on_batch": False}),
    "no grid fits its tokens": (TOKENS, {"grids": ()}),
    "inside a block whose trunk has width 16": (TOKENS, {"shape": (1, 50, 64)}),
    "its extents are those of no convolution, pool or resize": (MAP, {"grids": ((9, 9),)}),
    "no spatial extent left": (MAP, {"grids": ((1, 1),)}),
    "not connected to the score": (MAP, {"connected": False}),
    "the score's gradient is zero at every place": (TOKENS, {"gradient": False}),
    "a map for each class: the scores themselves": (MAP, {"class_map": True}),
    "MaxPool2d computes no features of its own": (MAP, {"passive": "MaxPool2d"}),
    "other nodes read the same codes, past it": (MAP, {"bypassed": True}),
}


@pytest.mark.parametrize(("reason", "case"), FAULTS.items(), ids=FAULTS)
def test_each_fault_has_its_words(reason: str, case: tuple[LayerFacts, dict[str, Any]]) -> None:
    good, changes = case
    assert judge_layer(good, AROUND).usable
    found = judge_layer(replace(good, **changes), AROUND)
    assert (found.usable, found.reason) == (False, reason)


def test_a_branch_of_a_block_is_none_of_its_trunk() -> None:
    found = judge_layer(replace(TOKENS, branch=True), AROUND)
    assert found.reason == "inside a block whose trunk has width 16"


def test_halves_of_a_known_grid_are_grids_and_without_any_all_are() -> None:
    odd = replace(MAP, grids=((9, 9),))
    assert not judge_layer(odd, Surroundings.of([(28, 28)], [])).usable
    assert judge_layer(odd, Surroundings.of([(17, 17)], [])).usable
    assert judge_layer(odd, Surroundings()).usable


def test_the_last_usable_layer_comes_first_and_says_what_stands_after_it() -> None:
    facts = [MAP, replace(MAP, name="norm"), replace(MAP, name="aside", connected=False)]
    found = ranked([judge_layer(one, AROUND) for one in facts])
    assert [one.name for one in found] == ["norm", "conv", "aside"]
    assert found[0].reason.endswith("not so at aside after it: not connected to the score")
    assert found[1].reason == "spatial extent, and the score's gradient reaches it"


class Merging(nn.Module):
    """Like Swin: a convolution cuts patches, slices and a linear layer halve the grid."""

    def __init__(self) -> None:
        super().__init__()
        self.patch = nn.Conv2d(3, 8, 4, stride=4)
        self.reduce = nn.Linear(32, 12)
        self.norm = nn.LayerNorm(12)
        self.head = nn.Linear(12, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        y = self.patch(x).permute(0, 2, 3, 1)
        parts = [y[:, i::2, j::2] for i in (0, 1) for j in (0, 1)]
        return self.head(self.norm(self.reduce(torch.cat(parts, -1)).relu()).mean((1, 2)))


def test_a_grid_that_slices_have_halved_is_found_in_the_file_as_in_the_module(
    tmp_path: Path,
) -> None:
    model, example = seeded(Merging()), (torch.zeros(1, 3, 32, 32),)
    torch.onnx.export(model, example, tmp_path / "m.onnx", dynamo=True, verbose=False)
    of_module, of_file = candidates_of(model, example)[0], candidates_of(tmp_path / "m.onnx")[0]
    assert (of_module.name, of_module.shape) == ("norm", (1, 4, 4, 12))
    assert (of_file.kind, of_file.shape) == ("LayerNormalization", (1, 4, 4, 12))
    assert of_module.reason == of_file.reason


def test_a_pool_made_of_slices_computes_no_features(tmp_path: Path) -> None:
    """As PyTorch's exporter writes an adaptive pool: cells picked out, added up and divided."""
    text = """<ir_version: 8, opset_import: ["" : 18]>
    pooled (float[N, 3, 8, 8] x) => (float[N, 2] y)
      <int64[1] first = {0}, int64[1] second = {1}, int64[1] end = {8}, int64[1] axis = {3},
       int64[1] stride = {2}, float two = {2.0}, int64[2] flat = {0, -1}> {
        layer = Sigmoid(x)
        left = Slice(layer, first, end, axis, stride)
        right = Slice(layer, second, end, axis, stride)
        total = Add(left, right)
        pool = Div(total, two)
        rows = Reshape(pool, flat)
        y = Gemm(rows, weights)
    }"""
    model = onnx.parser.parse_model(text)
    weights = onnx.numpy_helper.from_array(torch.randn(96, 2).numpy(), "weights")
    model.graph.initializer.append(weights)
    onnx.save(model, tmp_path / "m.onnx")
    best, *others = candidates_of(tmp_path / "m.onnx")
    assert best.name == "layer"
    reasons = {one.name: one.reason for one in others}
    assert reasons["total"] == "Add computes no features of its own"
    assert reasons["pool"] == "Div computes no features of its own"


def test_every_output_of_a_node_is_a_layer(tmp_path: Path) -> None:
    text = """<ir_version: 8, opset_import: ["" : 18]>
    gated (float[N, 4, 8, 8] x) => (float[N, 2] y) <int64[2] flat = {0, -1}> {
        value, gate = Split <num_outputs = 2, axis = 1> (x)
        open = Sigmoid(gate)
        product = Mul(value, open)
        rows = Reshape(product, flat)
        y = Gemm(rows, weights)
    }"""
    model = onnx.parser.parse_model(text)
    weights = onnx.numpy_helper.from_array(torch.randn(128, 2).numpy(), "weights")
    model.graph.initializer.append(weights)
    onnx.save(model, tmp_path / "m.onnx")
    kinds = {one.name: one.kind for one in candidates_of(tmp_path / "m.onnx")}
    assert (kinds["value"], kinds["gate"]) == ("Split", "Split")


def test_a_class_token_that_is_cut_off_and_put_back_is_followed(tmp_path: Path) -> None:
    """As in XCiT's class attention: past ``norm`` no place but the class token is read."""
    text = """<ir_version: 8, opset_import: ["" : 18]>
    class_attention (float[N, 3, 8, 8] x) => (float[N, 2] y)
      <int64[3] flat = {0, 0, -1}, int64[1] zero = {0}, int64[1] one = {1}, int64[1] end = {99},
       int64 first = {0}, float[8] gain = {1, 1, 1, 1, 1, 1, 1, 1}> {
        patches = Conv <strides = [4, 4]> (x, kernel)
        rows = Reshape(patches, flat)
        places = Transpose <perm = [0, 2, 1]> (rows)
        start = Slice(places, zero, one, one)
        tokens = Concat <axis = 1> (start, places)
        norm = LayerNormalization <axis = -1> (tokens, gain)
        mixed = ReduceMean <keepdims = 1> (norm, one)
        sum = Add(norm, mixed)
        token = Slice(sum, zero, one, one)
        others = Slice(sum, one, end, one)
        together = Concat <axis = 1> (token, others)
        chosen = Gather <axis = 1> (together, first)
        y = Gemm(chosen, weights)
    }"""
    model = onnx.parser.parse_model(text)
    for name, shape in (("kernel", (8, 3, 4, 4)), ("weights", (8, 2))):
        array = torch.randn(shape).numpy()
        model.graph.initializer.append(onnx.numpy_helper.from_array(array, name))
    onnx.save(model, tmp_path / "m.onnx")
    best, *others = candidates_of(tmp_path / "m.onnx")
    assert best.name == "norm"
    reasons = {one.name: one.reason for one in others}
    assert reasons["sum"] == "the score's gradient is zero at every place"
