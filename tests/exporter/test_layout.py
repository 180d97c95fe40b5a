"""Which grid a number of tokens stands on."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graftcam.exporter.locate.arrangement import Arrangement
from graftcam.exporter.locate.layout import read_layout
from graftcam.exporter.locate.lineage import lineages
from graftcam.exporter.locate.token_grids import token_grids
from support.onnx_text import parsed

WEIGHTS = """<ir_version: 8, opset_import: ["" : 18]>
    weights (float[1, 3, 16, 16] image) => (float[1, 2, 4, 4] weights)
    <float[1, 8, 4, 4] map, float[1, 2, 4, 16] rows, float[1, 2, 16, 4] columns,
     float[1, 2, 4, 4] products, int64[4] shape = {1, 2, 4, 16}>
    {
        map = Conv <strides = [4, 4]> (image, kernel)
        rows = Reshape (map, shape)
        columns = Transpose <perm = [0, 1, 3, 2]> (rows)
        products = MatMul (rows, columns)
        weights = Softmax (products)
    }"""
GRIDS = [(56, 42), (14, 14), (4, 4), (3, 3)]


@pytest.mark.parametrize(
    ("tokens", "expected"),
    [
        (196, ((14, 14), 0)),
        (197, ((14, 14), 1)),
        (201, ((14, 14), 5)),
        (213, None),  # 17 tokens before a grid are too many
        (20, ((4, 4), 4)),
        (25, ((4, 4), 9)),
        (49, ((7, 7), 0)),  # every second place of 14 x 14
        (2352, ((56, 42), 0)),
    ],
)
def test_the_largest_grid_that_leaves_a_few_tokens_over(
    tokens: int, expected: tuple[tuple[int, int], int] | None
) -> None:
    assert next(iter(token_grids(tokens, GRIDS)), None) == expected


def test_no_more_tokens_stand_before_a_grid_than_on_it() -> None:
    """EfficientViM has 25 states beside a grid of 3 x 3."""
    assert token_grids(18, [(3, 3)]) == [((3, 3), 9)]
    assert token_grids(25, [(3, 3)]) == []


def test_patches_of_the_image_are_a_grid_of_their_own() -> None:
    assert token_grids(30, [], (160, 192))[0] == ((5, 6), 0)
    assert token_grids(31, [], (160, None)) == []


def test_patches_are_tried_beside_halves_of_what_may_be_no_grid() -> None:
    """Of NaFlexViT, which has no convolution, only attention [N, heads, 200, 64] has four axes."""
    assert token_grids(200, [(200, 64)], (224, 224)) == [((25, 8), 0), ((14, 14), 4)]
    assert token_grids(200, [(14, 14)], (224, 224)) == [((14, 14), 4)]


def test_attention_weights_have_no_grid_of_heads_by_tokens() -> None:
    """Of [N, heads, tokens, tokens] the axes of tokens may look like a grid, the heads may not."""
    graph = ir.from_proto(parsed(WEIGHTS, {"kernel": np.ones((8, 3, 4, 4), np.float32)})).graph
    value = next(node.outputs[0] for node in graph if node.op_type == "Softmax")
    reading = read_layout(value, lineages(graph)[value])
    assert reading.options == (Arrangement("channels_first", (4, 4)),)
