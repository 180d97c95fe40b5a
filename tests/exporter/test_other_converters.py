"""Graphs in the style of tf2onnx and Paddle2ONNX, built by hand; names with colons and slashes."""

from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import onnx
import onnx.parser
from onnx import TensorProto, helper, numpy_helper

from graftcam.exporter import candidates_of, export
from graftcam.runtime import Explainer
from support.cli import succeed

RNG = np.random.default_rng(0)
PREFIX = "StatefulPartitionedCall/model"
CHOSEN = f"{PREFIX}/block2/Relu:0"


def weights(name: str, *shape: int) -> onnx.TensorProto:
    return numpy_helper.from_array(RNG.standard_normal(shape).astype(np.float32) * 0.4, name)


def tensorflow(path: Path) -> Path:
    """NHWC in, a Transpose pair around each convolution, dense layers as MatMul and Add."""
    const = {
        "w1": weights(f"{PREFIX}/block1/Conv2D/ReadVariableOp:0", 6, 3, 3, 3),
        "w2": weights(f"{PREFIX}/block2/Conv2D/ReadVariableOp:0", 8, 6, 3, 3),
        "b2": weights(f"{PREFIX}/block2/BiasAdd/ReadVariableOp:0", 8),
        "w3": weights(f"{PREFIX}/dense/MatMul/ReadVariableOp:0", 8, 4),
        "axes": numpy_helper.from_array(np.array([1, 2]), "const_axes__12"),
    }
    nodes: list[onnx.NodeProto] = []
    here = "input_1:0"

    def add(operator: str, name: str, *more: str, **attributes: object) -> None:
        nonlocal here
        nodes.append(
            helper.make_node(operator, [here, *more], [f"{name}:0"], name=name, **attributes)
        )
        here = f"{name}:0"

    for block, weight in (("block1", "w1"), ("block2", "w2")):
        scope = f"{PREFIX}/{block}"
        add("Transpose", f"{scope}/Conv2D__6", perm=[0, 3, 1, 2])
        add("Conv", f"{scope}/Conv2D", const[weight].name, kernel_shape=[3, 3], strides=[2, 2],
            auto_pad="SAME_UPPER")  # fmt: skip
        add("Transpose", f"{scope}/Conv2D__8", perm=[0, 2, 3, 1])
        if block == "block2":
            add("Add", f"{scope}/BiasAdd", const["b2"].name)
        add("Relu", f"{scope}/Relu")
    add("ReduceMean", f"{PREFIX}/global_average_pooling2d/Mean", keepdims=0, axes=[1, 2])
    add("MatMul", f"{PREFIX}/dense/MatMul", const["w3"].name)
    add("Softmax", f"{PREFIX}/dense/Softmax", axis=1)
    nodes.append(helper.make_node("Identity", [here], ["dense"], name="Identity"))
    shapes = (["unk__16", 24, 16, 3], ["unk__17", 4])
    ports = [
        helper.make_tensor_value_info(name, TensorProto.FLOAT, shape)
        for name, shape in zip(("input_1:0", "dense"), shapes, strict=True)
    ]
    used = [tensor for key, tensor in const.items() if key != "axes"]
    graph = helper.make_graph(nodes, "tf2onnx", ports[:1], ports[1:], used)
    opsets = [helper.make_opsetid("", 13)]
    onnx.save(helper.make_model(graph, opset_imports=opsets, ir_version=7), path)
    return path


def paddle(path: Path) -> Path:
    """Constants as nodes, Identity chains, the batch of a Reshape cut out of a Shape; opset 11."""
    proto = onnx.parser.parse_model("""
        <ir_version: 7, opset_import: ["": 11]>
        g (float[-1, 3, 16, 12] x) => (float[N, 5] softmax_0) {
            c1 = Conv<kernel_shape=[3, 3], pads=[1, 1, 1, 1]>(x, w1)
            b1 = BatchNormalization(c1, s, o, m, v)
            i1 = Identity(b1)
            r1 = Relu(i1)
            c2 = Conv<kernel_shape=[3, 3], strides=[2, 2], pads=[1, 1, 1, 1]>(r1, w2)
            h2 = HardSigmoid<alpha=0.2>(c2)
            m2 = Mul(h2, c2)
            p2 = AveragePool<kernel_shape=[8, 6]>(m2)
            shape = Shape(p2)
            cast = Cast<to=6>(shape)
            batch = Slice(cast, zero, one, zero)
            wide = Cast<to=7>(batch)
            to = Concat<axis=0>(wide, rest)
            flat = Reshape(p2, to)
            id = Identity(flat)
            dense = MatMul(id, w3)
            sum = Add(dense, b3)
            probabilities = Softmax<axis=1>(sum)
            softmax_0 = Identity(probabilities)
        }""")
    proto.graph.input[0].type.tensor_type.shape.dim[0].dim_value = -1
    proto.graph.output[0].type.tensor_type.shape.dim[0].dim_value = -1
    constants = {
        "w1": weights("w1", 6, 3, 3, 3), "w2": weights("w2", 8, 6, 3, 3),
        "w3": weights("w3", 8, 5), "b3": weights("b3", 5),
        "s": weights("s", 6), "o": weights("o", 6), "m": weights("m", 6),
        "v": numpy_helper.from_array(np.full(6, 0.7, np.float32), "v"),
        "zero": numpy_helper.from_array(np.array([0]), "zero"),
        "one": numpy_helper.from_array(np.array([1]), "one"),
        "rest": numpy_helper.from_array(np.array([8]), "rest"),
    }  # fmt: skip
    for name, value in constants.items():
        proto.graph.node.insert(0, helper.make_node("Constant", [], [name], value=value))
    names = {"c1": "conv2d_0.tmp_0", "m2": "hardswish_0.tmp_0", "r1": "relu_0.tmp_0"}
    for node in proto.graph.node:
        for names_of in (node.input, node.output):
            names_of[:] = [names.get(name, name) for name in names_of]
    onnx.save(proto, path)
    return path


def test_tf2onnx_channels_last_by_value_node_and_scope_names(tmp_path: Path) -> None:
    plain = tensorflow(tmp_path / "tf.onnx")
    assert candidates_of(plain)[0].name == CHOSEN
    layers = [CHOSEN, f"{PREFIX}/block1/Relu", f"{PREFIX}/block2", f"{PREFIX}/block1/Conv2D:0"]
    report = export(plain, tmp_path / "m.onnx", layers=layers)
    assert [(x.layout, x.grid) for x in report.spec.layers] == [
        ("channels_last", [6, 4]), ("channels_last", [12, 8]),
        ("channels_last", [6, 4]), ("channels_first", [12, 8]),
    ]  # fmt: skip
    assert (report.spec.score.kind, report.spec.score.activated) == ("logit", True)
    assert report.spec.score.value == f"{PREFIX}/dense/MatMul:0"


def test_tf2onnx_through_the_command_line(tmp_path: Path) -> None:
    plain, path = tensorflow(tmp_path / "tf.onnx"), tmp_path / "m.onnx"
    result = succeed(
        "export", plain, "-o", path, "--layer", CHOSEN, "--layer", f"{PREFIX}/block1",
        "--shape", "24,16,3", "--mean", "0.5,0.5,0.5", "--std", "0.5,0.5,0.5", "--json",
    )  # fmt: skip
    assert json.loads(result.stdout)["verification"]["verdict"] == "pass"
    image = RNG.integers(0, 256, (30, 20, 3), dtype=np.uint8)
    cv2.imwrite(str(tmp_path / "image.png"), image)
    succeed(
        "explain", path, tmp_path / "image.png", "-o", tmp_path / "out", "--layer", CHOSEN,
        "--class", "2",
    )  # fmt: skip
    assert len(list((tmp_path / "out").glob("*.png"))) == 1


def test_paddle_with_computed_shapes_and_constants_as_nodes(tmp_path: Path) -> None:
    plain, path = paddle(tmp_path / "paddle.onnx"), tmp_path / "m.onnx"
    assert candidates_of(plain)[0].name == "hardswish_0.tmp_0"
    layers = ["hardswish_0.tmp_0", "conv2d_0.tmp_0"]
    report = export(plain, path, layers=layers)
    assert [x.grid for x in report.spec.layers] == [[8, 6], [16, 12]]
    assert report.spec.score.kind == "logit"
    x = RNG.standard_normal((3, 3, 16, 12)).astype(np.float32)
    assert Explainer(path, "cpu").run(x)[report.spec.layers[0].heatmap].shape == (3, 1, 8, 6)
