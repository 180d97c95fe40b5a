"""Tokens behind the grid, as YOLOS has them, are no places, and only they may be read at last."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx_ir as ir
import pytest
import torch
from torch import nn

from graftcam.exporter import LayerError, export
from graftcam.exporter.locate.layout import read_layout
from graftcam.exporter.locate.lineage import lineages
from support.sessions import open_session

SIDE, GRID, QUERIES, WIDTH = (16, 24), (4, 6), 5, 8


class Tokens(nn.Module):
    """Patches between a class token and tokens of its own; scores are read off the latter."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.patches = nn.Conv2d(3, WIDTH, 4, stride=4)
        self.first = nn.Parameter(torch.randn(1, 1, WIDTH))
        self.last = nn.Parameter(torch.randn(1, QUERIES, WIDTH))
        self.layers = nn.ModuleList(
            nn.TransformerEncoderLayer(WIDTH, 2, 16, 0.0, batch_first=True) for _ in range(2)
        )
        self.classes = nn.Linear(WIDTH, 3)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        tokens = self.patches(images).flatten(2).transpose(1, 2)
        own = (one.expand(len(tokens), -1, -1) for one in (self.first, self.last))
        first, last = own
        tokens = torch.cat([first, tokens, last], 1)
        for layer in self.layers:
            tokens = layer(tokens)
        return self.classes(tokens[:, -QUERIES:]).mean(1)


def _images() -> torch.Tensor:
    return torch.rand(2, 3, *SIDE, generator=torch.Generator().manual_seed(1))


def test_maps_leave_out_the_tokens_behind_the_grid(tmp_path: Path) -> None:
    module = Tokens().eval()
    report = export(module, tmp_path / "a.onnx", (_images(),), layers="layers.0")
    (layer,) = report.spec.layers
    assert (layer.grid, layer.prefix_tokens, layer.suffix_tokens) == ([*GRID], 1, QUERIES)
    values = list[torch.Tensor]()
    module.layers[0].register_forward_hook(lambda _m, _a, output: values.append(output))
    module(_images())[:, 1].sum().backward(inputs=values)
    names = [layer.activations, layer.gradients]
    feeds = {"images": _images().numpy(), "class_index": np.array([[1]])}
    found = open_session(tmp_path / "a.onnx").run(names, feeds)
    slope = values[0].grad
    assert slope is not None
    for tensor, wanted in zip((found[0], found[1][:, 0]), (values[0], slope), strict=True):
        places = wanted.detach()[:, 1:-QUERIES].transpose(1, 2).unflatten(2, GRID)
        np.testing.assert_allclose(tensor, places, atol=1e-5)


def test_the_last_layer_of_a_file_is_not_chosen_as_no_place_of_it_is_read(tmp_path: Path) -> None:
    (layer,) = export(_plain(tmp_path), tmp_path / "a.onnx", verify="off").spec.layers
    assert layer.name == "layer_norm_1"  # of the first of two layers, each with two
    assert (layer.grid, layer.prefix_tokens, layer.suffix_tokens) == ([*GRID], 1, QUERIES)


def _plain(folder: Path) -> Path:
    """The module as a plain ONNX file."""
    program = torch.onnx.export(Tokens().eval(), (_images(),), dynamo=True, verbose=False)
    assert program is not None
    program.save(folder / "plain.onnx")
    return folder / "plain.onnx"


def test_a_head_of_such_a_layer_is_refused(tmp_path: Path) -> None:
    with pytest.raises(LayerError, match="5 tokens behind its grid"):
        export(Tokens().eval(), tmp_path / "a.onnx", (_images(),), layers="layers.0", extras="head")
    assert not list(tmp_path.iterdir())


def test_only_what_the_image_fills_counts_as_places() -> None:
    model = ir.from_onnx_text(
        """
        <ir_version: 8, opset_import: ["" : 18]>
        net (float[1, 3, 8, 12] image) => (float[1, 11, 4] y)
        <float[4, 3, 4, 4] w, float[1, 1, 4] first, float[1, 4, 4] last, int64[3] rows>
        {
            map = Conv <strides = [4, 4]> (image, w)
            flat = Reshape (map, rows)
            tokens = Transpose <perm = [0, 2, 1]> (flat)
            size = Shape <start = 0, end = 1> (image)
            y = Concat <axis = 1> (first, tokens, last)
        }
        """
    )
    shapes = {"map": [1, 4, 2, 3], "flat": [1, 4, 6], "tokens": [1, 6, 4]}
    for node in model.graph:
        for value in node.outputs:
            if value.name in shapes:
                value.shape = ir.Shape(shapes[value.name])
                value.dtype = ir.DataType.FLOAT
    (value,) = model.graph.outputs
    found = read_layout(value, lineages(model.graph)[value]).found
    assert found is not None
    assert (found.grid, found.prefix, found.suffix) == ((2, 3), 1, 4)
