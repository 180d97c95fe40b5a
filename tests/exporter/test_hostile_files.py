"""ONNX files that no exporter writes: each is one line, at once, and nothing is written."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from graftcam.exporter import CaptureError, candidates_of, export
from graftcam.exporter.capture import model as capture_model
from graftcam.exporter.errors import MalformedError
from graftcam.exporter.graph import check_work
from support.cli import fail, refuse
from support.hostile import TENSORS, laughs, outside
from support.onnx_text import parsed

RNG = np.random.default_rng(0)
CONSTANTS = {
    "kernel": RNG.standard_normal((4, 3, 3, 3)).astype(np.float32),
    "head": RNG.standard_normal((4, 2)).astype(np.float32),
}
TEXT = """<ir_version: 8, opset_import: ["" : 18, "d" : 1]>
    net (float[N, 3, 8, 8] image) => (float[N, 2] logits)
    {{
        layer = Conv <pads = [1, 1, 1, 1]> (image, kernel)
        {body}
        mean = GlobalAveragePool(rectified)
        flat = Flatten(mean)
        logits = Gemm(flat, head)
    }}"""
PLAIN = "rectified = Relu(layer)"
LOOP = """more = Constant <value = bool {{1}}> ()
        {count}
        rectified = Loop ({given}, more, layer) <body = g (int64 i, bool c, float[] v)
            => (bool d, float[] w) {{ d = Identity(c) w = Relu(v) }}>"""


def model(body: str = PLAIN) -> onnx.ModelProto:
    return parsed(TEXT.format(body=body), CONSTANTS)


def undefined(proto: onnx.ModelProto) -> None:
    del proto.graph.node[1]


def undefined_in_a_branch(proto: onnx.ModelProto) -> None:
    node = helper.make_node("Relu", ["nowhere"], ["inner"])
    graph = helper.make_graph([node], "g", [], [helper.make_empty_tensor_value_info("inner")])
    proto.graph.node.append(
        helper.make_node("If", ["c"], ["r"], then_branch=graph, else_branch=graph)
    )
    proto.graph.initializer.append(numpy_helper.from_array(np.array(True), "c"))


def no_branch(proto: onnx.ModelProto) -> None:
    proto.graph.node.append(helper.make_node("If", ["image"], ["r"], name="odd"))


def circle(proto: onnx.ModelProto) -> None:
    proto.graph.node[0].input[0] = "rectified"


def circle_through_a_branch(proto: onnx.ModelProto) -> None:
    undefined_in_a_branch(proto)
    node = proto.graph.node[-1]
    for attribute in node.attribute:
        attribute.g.node[0].input[0] = "after"
    proto.graph.node.append(helper.make_node("Relu", ["r"], ["after"], name="last"))


def twice(proto: onnx.ModelProto) -> None:
    proto.graph.node[1].output[0] = "layer"


def no_output(proto: onnx.ModelProto) -> None:
    proto.graph.output[0].name = "nothing"


def strings(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].data_type = TensorProto.STRING


def other_extents(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].dims[0] = 5


def fewer_numbers(proto: onnx.ModelProto) -> None:
    tensor = proto.graph.initializer[0]
    tensor.ClearField("raw_data")
    tensor.float_data.extend([1.0] * 7)


def negative_extent(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].dims[0] = -4


def unknown_type(proto: onnx.ModelProto) -> None:
    proto.graph.initializer[0].data_type = 99


def attribute_of_another_type(proto: onnx.ModelProto) -> None:
    node = proto.graph.node[0]
    del node.attribute[:]
    node.attribute.append(helper.make_attribute("pads", "wide"))


def attribute_twice(proto: onnx.ModelProto) -> None:
    node = proto.graph.node[0]
    node.attribute.append(node.attribute[0])


def no_attribute(proto: onnx.ModelProto) -> None:
    proto.graph.node[1].op_type = "Concat"


def too_few_inputs(proto: onnx.ModelProto) -> None:
    del proto.graph.node[0].input[1]


def two_inputs(proto: onnx.ModelProto) -> None:
    proto.graph.input.append(proto.graph.input[0])


def huge_value(proto: onnx.ModelProto) -> None:
    shape = numpy_helper.from_array(np.int64([1, 4, 1 << 16, 1 << 16]), "shape")
    proto.graph.initializer.append(shape)
    proto.graph.node.append(helper.make_node("Expand", ["mean", "shape"], ["wide"]))


def function_with_a_circle(proto: onnx.ModelProto) -> None:
    nodes = [helper.make_node("Relu", ["b"], ["c"]), helper.make_node("Relu", ["c"], ["b"])]
    made = helper.make_function("d", "F", ["a"], ["b"], nodes, proto.opset_import[:1])
    proto.functions.append(made)


CHANGES = {
    undefined: "GlobalAveragePool 'n2' reads 'rectified', which nothing gives",
    undefined_in_a_branch: "Relu 'inner' reads 'nowhere', which nothing gives",
    no_branch: "If 'odd' has no graph 'then_branch'",
    circle: "waits for nodes that wait for each other in a circle",
    circle_through_a_branch: "waits for nodes that wait for each other in a circle",
    twice: "Relu 'n1' gives 'layer', which is given already",
    no_output: "nothing gives the output 'nothing'",
    strings: "tensor 'kernel' is of strings, and holds plain bytes",
    other_extents: r"tensor 'kernel' has 432 bytes, its shape \[5, 3, 3, 3\] takes 540",
    fewer_numbers: r"tensor 'kernel' has 7 numbers, its shape \[4, 3, 3, 3\] takes 108",
    negative_extent: r"tensor 'kernel' has the shape \[-4, 3, 3, 3\]",
    unknown_type: "tensor 'kernel' is of type 99, which ONNX does not have",
    attribute_of_another_type: "Conv 'n0': .*pads",
    attribute_twice: "Conv 'n0' has an attribute twice",
    no_attribute: "Concat 'n1': .*axis",
    too_few_inputs: "Conv 'n0': .*input size 1",
    two_inputs: "two inputs are called 'image'",
    huge_value: r"the value 'wide' .*4, 65536, 65536\] has 17179869184 numbers, more than",
    function_with_a_circle: "waits for nodes that wait for each other in a circle",
}


def said_by_all(path: Path, folder: Path) -> str:
    """What `layers` and `export` say, which must be the same line, at once, and write nothing."""
    before, since = sorted(folder.iterdir()), time.perf_counter()
    listed = refuse("layers", path)
    exported = refuse("export", path, "-o", folder / "out.onnx", "--verify", "off")
    assert listed == exported
    assert time.perf_counter() - since < 4
    assert sorted(folder.iterdir()) == before
    return listed


@pytest.mark.parametrize(
    ("change", "reason"), CHANGES.items(), ids=lambda one: getattr(one, "__name__", "")
)
def test_a_graph_that_makes_no_sense_is_refused(
    tmp_path: Path, change: Callable[[onnx.ModelProto], None], reason: str
) -> None:
    proto, path = model(), tmp_path / "odd.onnx"
    change(proto)
    path.write_bytes(proto.SerializeToString())
    with pytest.raises(CaptureError, match=reason) as caught:
        candidates_of(path)
    assert said_by_all(path, tmp_path) == f"Error: {caught.value}"
    assert str(caught.value).startswith("odd.onnx: ")


def test_the_plain_file_is_not(tmp_path: Path) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model(), path)
    assert candidates_of(path)[0].name == "rectified"


def test_weights_elsewhere_and_functions_without_end_are_refused(tmp_path: Path) -> None:
    path, data = tmp_path / "m.onnx", model().SerializeToString()
    path.write_bytes(data + TENSORS["an initializer"](outside("/etc/hostname")))
    assert "m.onnx stores tensor 'stolen' in '/etc/hostname'" in said_by_all(path, tmp_path)
    path.write_bytes(data + laughs(24))
    assert "m.onnx has functions that make" in said_by_all(path, tmp_path)


def test_weights_in_a_function_lie_beside_the_model(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Wherever the command runs, and not in its working folder."""
    weights = np.full((1, 4, 1, 1), 2.0, np.float32)
    (tmp_path / "w.bin").write_bytes(weights.tobytes())
    proto = model("rectified = d.F(layer)")
    tensor = TensorProto.FromString(outside("w.bin", shape=weights.shape, name="w"))
    nodes = [
        helper.make_node("Constant", [], ["w"], value=tensor),
        helper.make_node("Mul", ["a", "w"], ["b"]),
    ]
    imports = [helper.make_opsetid("", 18)]
    proto.functions.append(helper.make_function("d", "F", ["a"], ["b"], nodes, imports))
    path = tmp_path / "m.onnx"
    path.write_bytes(proto.SerializeToString())
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "w.bin").write_bytes(bytes(weights.nbytes))
    monkeypatch.chdir(tmp_path / "elsewhere")
    report = export(path, tmp_path / "out.onnx", layers="layer")
    assert report.verification.verdict == "pass"


@pytest.mark.parametrize(
    "count",
    [
        "Constant <value_int = 4611686018427387904> ()",
        "Constant <value = int64 {4611686018427387904}> ()",
    ],
)
def test_a_loop_says_how_often_it_runs(tmp_path: Path, count: str) -> None:
    path = tmp_path / "m.onnx"
    onnx.save(model(LOOP.format(count=f"count = {count}", given="count")), path)
    assert "Loop 'n3' runs 4611686018427387904 times, more than 1000000" in said_by_all(
        path, tmp_path
    )


def test_a_loop_without_an_end_is_stopped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(check_work, "_SECONDS", 0.5)
    path = tmp_path / "m.onnx"
    onnx.save(model(LOOP.format(count="", given="")), path)
    with pytest.raises(CaptureError, match="a run has not ended after 0 s, and it has a Loop"):
        candidates_of(path)


def test_weights_that_are_nan_are_named(tmp_path: Path) -> None:
    path = with_kernel(tmp_path / "m.onnx", np.nan)
    said = refuse("export", path, "-o", tmp_path / "out.onnx", "--verify", "off")
    assert "the weights 'kernel' hold 2 NaN among 108 numbers" in said
    assert [one.name for one in tmp_path.iterdir()] == ["m.onnx"]


def test_infinite_weights_are_left_to_the_verification(tmp_path: Path) -> None:
    """The masks of an attention consist of them."""
    path = with_kernel(tmp_path / "m.onnx", -np.inf)
    said = fail("export", path, "-o", tmp_path / "out.onnx", code=3)
    assert "the model's own output 'logits' is infinite or NaN" in said
    assert [one.name for one in tmp_path.iterdir()] == ["m.onnx"]


def with_kernel(path: Path, number: float) -> Path:
    proto, kernel = model(), CONSTANTS["kernel"].copy()
    kernel[0, 0, 0, :2] = number
    proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(kernel, "kernel"))
    onnx.save(proto, path)
    return path


def test_a_fault_that_no_check_knows_is_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise KeyError("axis")

    monkeypatch.setattr(capture_model, "capture_file", fail)
    onnx.save(model(), tmp_path / "m.onnx")
    with pytest.raises(
        MalformedError, match=r"cannot follow the graph of m\.onnx: KeyError: 'axis'"
    ):
        candidates_of(tmp_path / "m.onnx")


def doubled(op: str, depth: int = 24) -> str:
    """A value with 2 ** depth ways that lead to it."""
    lines = ["s0 = Relu(layer)"]
    lines += [f"s{n + 1} = {op}(s{n}, s{n})" for n in range(depth)]
    return "\n".join([*lines, f"rectified = Relu(s{depth})"])


@pytest.mark.parametrize("op", ["Add", "Mul", "Max", "Concat <axis = 0>"])
def test_no_step_walks_every_way(tmp_path: Path, op: str) -> None:
    path, since = tmp_path / "m.onnx", time.perf_counter()
    onnx.save(model(doubled(op, 9 if op.startswith("Concat") else 24)), path)
    assert candidates_of(path)
    assert time.perf_counter() - since < 5
