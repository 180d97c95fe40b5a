"""Heads' inputs and backbones are found by structure, whatever decodes the boxes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from graftcam import export
from graftcam.exporter.capture.onnx_file import Captured, capture_file
from graftcam.exporter.errors import GraftcamError
from graftcam.exporter.graph.trial_shapes import trial_shapes
from graftcam.exporter.locate.detectors.detection import (
    Corners,
    Detection,
    Entries,
    LevelFound,
    image_input,
)
from graftcam.exporter.locate.detectors.layers.backbone import backbone_layers
from graftcam.exporter.locate.detectors.layers.head_inputs import head_inputs
from graftcam.exporter.locate.detectors.layers.image_maps import ImageMaps
from graftcam.runtime.spec.detector import DetectorFormat
from support.detectors import detector
from support.onnx_text import parsed

# A backbone of two grids, 4 x 6 and 2 x 3 (strides 8 and 16), and a neck: up, and down again.
NECK = """
    f3 = Conv <kernel_shape = [8, 8], strides = [8, 8]> (image, stem)
    p3 = Tanh(f3)
    f4 = Conv <kernel_shape = [2, 2], strides = [2, 2]> (p3, down)
    p4 = Tanh(f4)
    up = Resize <mode = "nearest"> (p4, , doubled)
    both3 = Concat <axis = 1> (up, p3)
    m3 = Conv <pads = [1, 1, 1, 1]> (both3, mix)
    n3 = Tanh(m3)
    d4 = Conv <kernel_shape = [2, 2], strides = [2, 2]> (n3, down)
    both4 = Concat <axis = 1> (d4, p4)
    m4 = Conv <pads = [1, 1, 1, 1]> (both4, mix)
    n4 = Tanh(m4)
"""
# Class and box branches of a level, of 3 x 3 and then 1 x 1 convolutions.
BRANCHES = "".join(
    f"""
    ct{i} = Conv <pads = [1, 1, 1, 1]> (n{i}, tower)
    ca{i} = Sigmoid(ct{i})
    cs{i} = Mul(ct{i}, ca{i})
    c{i} = Conv(cs{i}, cls)
    bt{i} = Conv <pads = [1, 1, 1, 1]> (n{i}, tower)
    bs{i} = Tanh(bt{i})
    b{i} = Conv(bs{i}, box)
"""
    for i in (3, 4)
)
# Distributions over 4 bins, decoded by a convolution, as exporters of the YOLO family write it.
DECODE = """
    apart = Reshape(dis, to_bins)
    turned = Transpose <perm = [0, 2, 1, 3]> (apart)
    share = Softmax <axis = 1> (turned)
    mean = Conv(share, bins)
    far = Reshape(mean, to_four)
    lt, rb = Split <axis = 1, num_outputs = 2> (far)
    size = Shape(p4)
    grid = ConstantOfShape(size)
    zero = ReduceSum <keepdims = 0> (grid)
    x1 = Sub(zero, lt)
    x2 = Add(zero, rb)
    boxes = Concat <axis = 1> (x1, x2)
    out = Concat <axis = 1> (boxes, scores)
"""
APART = (
    BRANCHES
    + """
    rc3 = Reshape(c3, to_classes)
    rc4 = Reshape(c4, to_classes)
    rb3 = Reshape(b3, to_dis)
    rb4 = Reshape(b4, to_dis)
"""
)
HEADS = {
    "branches apart": APART + """
    scores = Concat <axis = 2> (rc3, rc4)
    dis = Concat <axis = 2> (rb3, rb4)
""" + DECODE,
    "the coarse level first": APART + """
    scores = Concat <axis = 2> (rc4, rc3)
    dis = Concat <axis = 2> (rb4, rb3)
""" + DECODE,
    "joined on each level": BRANCHES + """
    j3 = Concat <axis = 1> (b3, c3)
    j4 = Concat <axis = 1> (b4, c4)
    r3 = Reshape(j3, to_both)
    r4 = Reshape(j4, to_both)
    all = Concat <axis = 2> (r3, r4)
    dis, scores = Split <axis = 1> (all, parts)
""" + DECODE,
    # Three anchors of 4 numbers, objectness and 3 classes from one convolution, as YOLOv5 has them.
    # The fine level reads the coarse one's shape, and nothing else of it.
    "coupled": "".join(f"""
    q{i} = Conv(n{i}, coupled)
    q5{i} = Reshape(q{i}, to_anchors)
    t{i} = Transpose <perm = [0, 1, 3, 2]> (q5{i})
    s{i} = Sigmoid(t{i})
    xy{i}, wh{i}, oc{i} = Split <axis = 3> (s{i}, of_coupled)
    size{i} = Shape(p4)
    grid{i} = ConstantOfShape(size{i})
    zero{i} = ReduceSum <keepdims = 0> (grid{i})
    w2{i} = Sub(wh{i}, zero{i})
    k{i} = Concat <axis = 3> (xy{i}, w2{i}, oc{i})
    r{i} = Reshape(k{i}, to_eight)
""" for i in (3, 4)) + """
    out = Concat <axis = 1> (r3, r4)
    boxes, there, scores = Split <axis = 2> (out, of_eight)
""",
}  # fmt: skip
RNG = np.random.default_rng(0)
WEIGHTS = {
    "stem": (4, 3, 8, 8), "down": (4, 4, 2, 2), "mix": (4, 8, 3, 3), "tower": (4, 4, 3, 3),
    "cls": (3, 4, 1, 1), "box": (16, 4, 1, 1), "bins": (1, 4, 1, 1), "coupled": (24, 4, 1, 1),
    "to_q": (4, 4),
}  # fmt: skip
NUMBERS = {
    "doubled": np.array([1, 1, 2, 2], np.float32),
    "to_classes": [1, 3, -1], "to_dis": [1, 16, -1], "to_both": [1, 19, -1], "parts": [16, 3],
    "to_bins": [1, 4, 4, -1], "to_four": [1, 4, -1], "to_anchors": [1, 3, 8, -1],
    "of_coupled": [2, 2, 4], "of_eight": [4, 1, 3], "to_eight": [1, -1, 8], "to_tokens": [1, 4, -1],
}  # fmt: skip


def captured(tmp_path: Path, head: str, out: str, sides: str = "32, 48") -> Captured:
    text = f"""<ir_version: 8, opset_import: ["" : 18]>
        tiny (float[1, 3, {sides}] image) => (float[1, a, b] {out}) {{ {NECK} {head} }}"""
    shaped = {name: RNG.standard_normal(shape) for name, shape in WEIGHTS.items()}
    constants = {name: one.astype(np.float32) for name, one in shaped.items()}
    used = {
        name: np.asarray(one) for name, one in (constants | NUMBERS).items() if name in text
    }  # fmt: skip
    onnx.save(parsed(text, used), tmp_path / "plain.onnx")
    return capture_file(tmp_path / "plain.onnx", [])


def maps_and_levels(
    found: Captured, axis: int, kind: DetectorFormat = "dense"
) -> tuple[ImageMaps, list[LevelFound]]:
    """The levels of a detector whose ``scores`` and ``boxes`` have boxes along ``axis``."""
    graph = found.model.graph
    values = {value.name: value for node in graph for value in node.outputs}
    corners = Corners([Entries(values["boxes"], axis, 0, 4)], "xyxy", "pixels")
    detection = Detection(kind, [Entries(values["scores"], axis, 0, 3)], corners)
    image = image_input(graph)
    maps = ImageMaps(graph, image, trial_shapes(found.model, image, found.folder))
    return maps, head_inputs(maps, detection)


def told(levels: list[LevelFound]) -> list[tuple[str | None, int | None, int | None]]:
    return [(one.value.name, one.first, one.count) for one in levels]


EXPECTED = {
    "branches apart": [("n3", 0, 24), ("n4", 24, 6)],
    "the coarse level first": [("n3", 6, 24), ("n4", 0, 6)],
    "joined on each level": [("n3", 0, 24), ("n4", 24, 6)],
    # At the convolution's input all but the box's own place would have no gradient.
    "coupled": [("both3", 0, 72), ("both4", 72, 18)],
}


@pytest.mark.parametrize("name", HEADS)
def test_heads_inputs_are_the_last_maps_that_class_and_box_share(tmp_path: Path, name: str) -> None:
    maps, levels = maps_and_levels(
        captured(tmp_path, HEADS[name], "out"), 1 if name == "coupled" else 2
    )
    assert told(levels) == EXPECTED[name]
    assert [one.stride for one in levels] == [(8.0, 8.0), (16.0, 16.0)]
    backbone = backbone_layers(maps, levels)
    assert [one.value.name for one in backbone] == ["p3", "p4"]
    assert [one[1:] for one in told(backbone)] == [one[1:] for one in told(levels)]


@pytest.mark.parametrize("name", HEADS)
def test_open_sizes_have_the_same_layers_and_strides(tmp_path: Path, name: str) -> None:
    found = captured(tmp_path, HEADS[name], "out", "H, W")
    _, levels = maps_and_levels(found, 1 if name == "coupled" else 2)
    assert told(levels) == [(layer, None, None) for layer, _, _ in EXPECTED[name]]
    assert [one.stride for one in levels] == [(8.0, 8.0), (16.0, 16.0)]


def test_one_level_needs_no_concat(tmp_path: Path) -> None:
    head = APART + "scores = Identity(rc3)\n dis = Identity(rb3)\n" + DECODE
    _, levels = maps_and_levels(captured(tmp_path, head, "out"), 2)
    assert told(levels) == [("n3", 0, 24)]


QUERIES = """
    r3 = Reshape(n3, to_tokens)
    r4 = Reshape(n4, to_tokens)
    k3 = Transpose <perm = [0, 2, 1]> (r3)
    k4 = Transpose <perm = [0, 2, 1]> (r4)
    memory = Concat <axis = 1> (k3, k4)
    keys = Transpose <perm = [0, 2, 1]> (memory)
    seen = MatMul(to_q, keys)
    share = Softmax <axis = 2> (seen)
    states = MatMul(share, memory)
    boxes = Sigmoid(states)
    scores = Slice(states, zero_, three_, two_)
    out = Concat <axis = 2> (boxes, scores)
"""
NUMBERS |= {"zero_": [0], "three_": [3], "two_": [2]}


@pytest.mark.parametrize("kind", ["queries", "end_to_end"])
def test_queries_look_at_the_maps_whose_tokens_are_joined(
    tmp_path: Path, kind: DetectorFormat
) -> None:
    _, levels = maps_and_levels(captured(tmp_path, QUERIES, "out"), 1, kind)
    assert told(levels) == [("n3", None, None), ("n4", None, None)]


def test_the_layers_that_a_user_names_are_recorded(tmp_path: Path) -> None:
    plain, path, model = tmp_path / "plain.onnx", tmp_path / "m.onnx", detector()
    model.graph.node.append(onnx.helper.make_node("Relu", ["fine_sums"], ["aside"]))
    onnx.save(model, plain)
    record = export(plain, path, layers=["fine_sums", "fine"], verify="off").spec.detector
    assert record is not None
    assert [(one.layer, one.first, one.count, one.stride) for one in record.levels] == [
        ("fine_sums", None, None, [8.0, 8.0]),
        ("fine", 0, 16, [8.0, 8.0]),
    ]
    plain_context = export(plain, tmp_path / "c.onnx", context=True, verify="off").spec
    assert [one.name for one in plain_context.layers] == ["fine", "coarse"]
    with pytest.raises(GraftcamError, match="aside"):
        export(plain, tmp_path / "x.onnx", layers=["aside"], verify="off")
    assert not (tmp_path / "x.onnx").exists()


GROUP_NORM = """<ir_version: 8, opset_import: ["" : 18]>
g (float[1,3,32,48] x) => (float[1,3,30] scores, float[1,4,30] boxes) {
    groups = Constant <value_ints = [1, 2, -1]> ()
    whole4 = Constant <value_ints = [1, 4, 4, 6]> ()
    whole5 = Constant <value_ints = [1, 4, 2, 3]> ()
    four = Constant <value_ints = [1, 4, -1]> ()
    c4 = Conv <strides = [8, 8]> (x, w0)
    c5 = Conv <strides = [16, 16]> (x, w0)
    a4 = Reshape (c4, groups)
    a5 = Reshape (c5, groups)
    b4 = InstanceNormalization (a4, ones, zeros)
    b5 = InstanceNormalization (a5, ones, zeros)
    d4 = Reshape (b4, whole4)
    d5 = Reshape (b5, whole5)
    n4 = Mul (d4, gain)
    n5 = Mul (d5, gain)
    f4 = Reshape (n4, four)
    f5 = Reshape (n5, four)
    all = Concat <axis = 2> (f4, f5)
    scores = MatMul (ws, all)
    boxes = MatMul (wb, all)
}"""


def test_a_group_norm_that_is_written_out_gives_a_map(tmp_path: Path) -> None:
    """PyTorch's exporter writes it as an instance norm of groups, between two Reshapes."""
    draw = np.random.default_rng(0)
    weights = {
        "w0": draw.standard_normal((4, 3, 1, 1), np.float32), "ones": np.ones(2, np.float32),
        "zeros": np.zeros(2, np.float32), "gain": np.ones((4, 1, 1), np.float32),
        "ws": draw.standard_normal((3, 4), np.float32),
        "wb": draw.standard_normal((4, 4), np.float32),
    }  # fmt: skip
    onnx.save(parsed(GROUP_NORM, weights), tmp_path / "plain.onnx")
    maps, _ = maps_and_levels(capture_file(tmp_path / "plain.onnx", []), 2)
    found = {value.name for value in maps.order if value in maps}
    assert found == {"c4", "c5", "d4", "d5", "n4", "n5"}
