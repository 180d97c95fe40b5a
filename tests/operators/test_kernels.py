"""No provider of ONNX Runtime silently lacks a kernel for what the rules emit."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import onnx
import pytest
from onnx import TensorProto

from support.operators.cases import FAMILIES
from support.operators.harness import Graft, Model, graft
from support.operators.kernels import Need, has_kernel, needs, table, without_kernel

# Cases in forms older than the oldest opset of artifacts cannot get into one.
OLDEST, NEWEST = 18, 23


def _grafts(family: str, opset: int) -> Iterator[Graft]:
    for case in FAMILIES[family]:
        if OLDEST <= case.opset <= opset:
            shape = case.open[-1] if case.batched else ()
            yield graft(Model(replace(case, opset=opset), np.float32, case.batches[-1], shape))


@pytest.mark.parametrize("opset", [OLDEST, NEWEST])
@pytest.mark.parametrize("family", FAMILIES)
def test_all_that_a_family_of_rules_emits_has_kernels(family: str, opset: int) -> None:
    required = {need for made in _grafts(family, opset) for need in needs(made.proto, made.emitted)}
    assert without_kernel(required) == {}


@pytest.mark.parametrize("family", ["conv", "pool", "sums"])
def test_padding_that_cuda_takes_to_the_cpu_or_gets_wrong_is_not_emitted(family: str) -> None:
    seen = 0
    for made in _grafts(family, OLDEST):
        for node in made.proto.graph.node:
            if node.op_type in ("ConvTranspose", "AveragePool") and node.name in made.emitted:
                pads = next(list(a.ints) for a in node.attribute if a.name == "pads")
                assert pads[: len(pads) // 2] == pads[len(pads) // 2 :]
                seen += 1
    assert seen


def test_a_kernel_without_a_last_opset_serves_its_own_form_only() -> None:
    rows = table()["CUDAExecutionProvider"]["kernels"]["MaxPool"]
    assert {row[1] for row in rows} == {None}
    types = frozenset({("T", "float"), ("I", "int64")})
    assert has_kernel("CUDAExecutionProvider", Need("MaxPool", 12, types))
    assert not has_kernel("CUDAExecutionProvider", Need("MaxPool", 22, types))


@pytest.mark.parametrize(
    ("operator", "kind", "missing"),
    [
        ("Sigmoid", TensorProto.FLOAT, {}),
        ("Sinh", TensorProto.DOUBLE, {
            "CPUExecutionProvider": ["Sinh-9(double)"], "CUDAExecutionProvider": ["Sinh-9(double)"],
        }),
        ("Asinh", TensorProto.FLOAT, {"CUDAExecutionProvider": ["Asinh-9(float)"]}),
    ],
)  # fmt: skip
def test_a_missing_kernel_is_noticed(
    operator: str, kind: int, missing: dict[str, list[str]]
) -> None:
    node = onnx.helper.make_node(operator, ["x"], ["y"], name="node")
    ends = [onnx.helper.make_tensor_value_info(name, kind, None) for name in "xy"]
    graph = onnx.helper.make_graph([node], "g", ends[:1], ends[1:])
    model = onnx.helper.make_model(graph, opset_imports=[onnx.helper.make_opsetid("", 18)])
    assert without_kernel(needs(model, {"node"})) == missing
