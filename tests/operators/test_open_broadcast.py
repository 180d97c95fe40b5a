"""An operand whose extent is open may turn out to be broadcast, or not, when the model runs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
import torch

from support.onnx_text import parsed
from support.operators.harness import (
    Graft,
    error,
    idle_nodes,
    run_ort,
    seeds,
    session,
    with_adjoints,
)


def _graft(
    signature: str, body: str, spread: frozenset[int] = frozenset(), *, selected: bool = False,
    **constants: Any,
) -> Graft:  # fmt: skip
    text = f'<ir_version: 9, opset_import: ["" : 18]> g ({signature}) => (float y) {{ {body} }}'
    proto = parsed(text, constants)
    proto.graph.output[0].type.tensor_type.ClearField("shape")
    inferred = onnx.shape_inference.infer_shapes(proto, data_prop=True)
    return with_adjoints(inferred, spread, selected=selected)


PAIRS = [((2, 3), (2, 3)), ((1, 3), (2, 3)), ((2, 1), (2, 3)), ((2, 3), (1, 1)), ((1, 1), (1, 3))]


@pytest.mark.parametrize("classes", [0, 1, 3])
@pytest.mark.parametrize("shapes", PAIRS)
@pytest.mark.parametrize("spread", [(), (0,), (1,), (0, 1)])
@pytest.mark.parametrize("op_type", ["Add", "Mul", "Sub"])
def test_elements(op_type: str, spread: Any, shapes: Any, classes: int) -> None:
    made = _graft("float[A,B] a, float[C,D] b", f"y = {op_type}(a, b)", frozenset(spread))
    assert idle_nodes(made) == []
    rng = np.random.default_rng(0)
    a, b = (rng.standard_normal(shape).astype(np.float32) for shape in shapes)
    full = np.broadcast_shapes(*shapes)
    seed = seeds(classes, [1 if axis in spread else n for axis, n in enumerate(full)])
    got = run_ort(session(made.proto), {"a": a, "b": b, "seed": seed})
    x, z = (torch.tensor(one, dtype=torch.float64, requires_grad=True) for one in (a, b))
    y = {"Add": torch.add, "Mul": torch.mul, "Sub": torch.sub}[op_type](x, z)
    for row in range(classes):
        wide = torch.tensor(np.broadcast_to(seed[row], full).copy())
        right = torch.autograd.grad(y, (x, z), wide, retain_graph=True)
        for name, slope in zip("ab", right, strict=True):
            assert error(got[f"grad_{name}"][row], slope.numpy()) < 1e-5


@pytest.mark.parametrize("shapes", [((2, 3, 4), (2, 4, 2)), ((1, 3, 4), (2, 4, 2))])
def test_stacks_of_matrices(shapes: Any) -> None:
    made = _graft("float[A,3,4] a, float[B,4,2] b", "y = MatMul(a, b)")
    a, b = (np.ones(shape, np.float32) * np.arange(shape[-1], dtype=np.float32) for shape in shapes)
    seed = seeds(2, (2, 3, 2))
    got = run_ort(session(made.proto), {"a": a, "b": b, "seed": seed})
    x, z = (torch.tensor(one, dtype=torch.float64, requires_grad=True) for one in (a, b))
    right = torch.autograd.grad(x @ z, (x, z), torch.tensor(seed[1]))
    assert error(got["grad_a"][1], right[0].numpy()) < 1e-5
    assert error(got["grad_b"][1], right[1].numpy()) < 1e-5


@pytest.mark.parametrize("images", [1, 2])
def test_a_selected_class_of_scores_without_named_extents(images: int) -> None:
    made = _graft("float[?,3] a, float[?,3] b", "y = Add(a, b)", selected=True)
    feeds = {"a": np.ones((images, 3)), "b": np.ones((2, 3)), "seed": np.array([[2, 0]])}
    got = run_ort(session(made.proto), feeds)
    picked = np.array([[[0.0, 0, 1], [1, 0, 0]]])
    assert error(got["grad_a"], picked.sum(1, keepdims=True) if images == 1 else picked) == 0.0
    assert error(got["grad_b"], picked) == 0.0


@pytest.mark.parametrize("extent", [1, 3])
def test_expand(extent: int) -> None:
    made = _graft("float[2,A] a", "y = Expand(a, s)", s=np.array([2, 3]))
    seed = seeds(2, (2, 3))
    got = run_ort(session(made.proto), {"a": np.ones((2, extent)), "seed": seed})["grad_a"]
    assert error(got, seed.sum(2, keepdims=True) if extent == 1 else seed) < 1e-5


@pytest.mark.parametrize(
    ("signature", "body"),
    [
        ("float[N,3] a, float[N,3] b", "y = Add(a, b)"),
        ("float[N,3] a, float[1,3] b", "y = Mul(a, b)"),
        ("float[N,3] a, float[3] b", "y = Mul(a, b)"),
        ("float[N,3,4] a, float[N,4,2] b", "y = MatMul(a, b)"),
        ("float[N,3,4] a, float[4,2] b", "y = MatMul(a, b)"),
    ],
)
def test_equal_names_and_static_extents_cost_nothing(signature: str, body: str) -> None:
    made = _graft(signature, body)
    assert "Compress" not in {node.op_type for node in made.proto.graph.node}
