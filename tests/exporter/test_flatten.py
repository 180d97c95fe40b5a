"""Branches that are decided before run time are taken; all others do not change."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graftcam.exporter.graph.inline import flatten
from support.onnx_text import parsed
from support.sessions import run

CONSTANTS = {
    "yes": np.array(True),
    "no": np.array(False),
    "zero": np.array(0),
    "one": np.array(1),
    "two": np.array(2),
    "axis": np.array([2]),
    "weight": np.full((4, 3, 1, 1), 0.5, np.float32),
    "scale": np.linspace(0.5, 2, 4, dtype=np.float32),
    "trips": np.array(2),
}


def _model(
    body: str, *, shape: str = "N, 4, 1, 5", functions: str = "", opset: int = 18
) -> ir.Model:
    text = f"""
    <ir_version: 9, opset_import: ["" : {opset}, "local" : 1]>
    g (float[N, 4, 1, 5] x) => (float[] y) {{ {body} }} {functions}"""
    return ir.from_proto(parsed(text, CONSTANTS))


def _types(model: ir.Model) -> list[str]:
    return [node.op_type for node in model.graph]


def _run(model: ir.Model, x: np.ndarray) -> np.ndarray:
    return next(iter(run(ir.to_proto(model).SerializeToString(), {"x": x}).values()))


BOTH = """If({condition}) <then_branch = first () => (float[] p) {{ p = Relu(a) }},
    else_branch = second () => (float[] q) {{ r = Exp(a) q = Neg(r) }}>"""

TAKEN = {
    "by an initializer": (
        "a = Tanh(x) y = " + BOTH.format(condition="yes"), ["Tanh", "Relu", "Identity"]),
    "the other way": (
        "a = Tanh(x) y = " + BOTH.format(condition="no"), ["Tanh", "Exp", "Neg", "Identity"]),
    "by a Constant node": (
        "a = Tanh(x) b = Constant<value_int=1>() c = Cast<to=9>(b) y = "
        + BOTH.format(condition="c"), ["Tanh", "Constant", "Cast", "Relu", "Identity"]),
    "by an extent, as old exporters write squeeze": (
        """s = Shape(x) e = Gather(s, two) c = Equal(e, one)
        y = If(c) <then_branch = first () => (float[] p) { p = Squeeze(x, axis) },
                   else_branch = second () => (float[] q) { q = Identity(x) }>""",
        ["Shape", "Gather", "Equal", "Squeeze", "Identity"]),
    "by extents joined with the open batch and taken apart again": (
        """s = Shape(x) t = Concat<axis=0>(s, axis) i = Cast<to=6>(t) e = Gather(i, two)
        f = Cast<to=7>(e) c = Less(f, two) a = Neg(x) y = """ + BOTH.format(condition="c"),
        ["Shape", "Concat", "Cast", "Gather", "Cast", "Less", "Neg", "Relu", "Identity"]),
    "by a rank that a branch before it decides": (
        """z = If(yes) <then_branch = first () => (float[] p) { p = Squeeze(x, axis) },
                        else_branch = second () => (float[] q) { q = Identity(x) }>
        s = Shape(z) k = Size(s) three = Add(one, two) c = Equal(k, three) a = Tanh(z) y = """
        + BOTH.format(condition="c"),
        ["Squeeze", "Identity", "Shape", "Size", "Add", "Equal", "Tanh", "Relu", "Identity"]),
    "a branch within a branch": (
        """a = Tanh(x) y = If(yes) <then_branch = outer () => (float[] o) { o = """
        + BOTH.format(condition="no")
        + """ }, else_branch = other () => (float[] i) { i = Identity(x) }>""",
        ["Tanh", "Exp", "Neg", "Identity", "Identity"]),
    "a branch with two results": (
        """a, b = If(yes) <
            then_branch = first () => (float[] p, float[] o) { p = Tanh(x) o = Abs(p) },
            else_branch = second () => (float[] q, float[] r) { q = Exp(x) r = Neg(x) }>
        y = Sub(a, b)""",
        ["Tanh", "Abs", "Identity", "Identity", "Sub"]),
    "a branch that returns a constant": (
        """a = If(yes) <then_branch = first () => (float[1] p) <float[1] p = {2}> { },
        else_branch = second () => (float[] q) { q = Exp(x) }> y = Mul(a, x)""",
        ["Identity", "Mul"]),
}  # fmt: skip


@pytest.mark.parametrize(("body", "types"), TAKEN.values(), ids=TAKEN)
def test_a_branch_that_is_decided_is_taken(body: str, types: list[str]) -> None:
    x = np.random.default_rng(0).standard_normal((3, 4, 1, 5)).astype(np.float32)
    before = _run(_model(body), x)
    model = flatten(_model(body))
    assert _types(model) == types
    assert [value.name for value in model.graph.outputs] == ["y"]
    assert model.graph.outputs[0].shape is not None
    np.testing.assert_array_equal(_run(model, x), before)
    assert _types(flatten(model)) == types


KEPT = {
    "computed from contents": "m = ReduceMax<keepdims=0>(x) c = Cast<to=9>(m) a = Tanh(x) y = ",
    "the open batch": "s = Shape(x) e = Gather(s, zero) c = Equal(e, one) a = Tanh(x) y = ",
    "a sum with the open batch":
        "s = Shape(x) t = Add(s, s) e = Gather(t, two) c = Equal(e, two) a = Tanh(x) y = ",
    "drawn at random": "d = RandomUniform<shape=[1]>() c = Cast<to=9>(d) a = Tanh(x) y = ",
}  # fmt: skip


@pytest.mark.parametrize("body", KEPT.values(), ids=KEPT)
def test_a_branch_that_is_decided_at_run_time_stays(body: str) -> None:
    body += BOTH.format(condition="c")
    assert _types(flatten(_model(body))) == _types(_model(body))


def test_an_initializer_that_a_caller_may_override_decides_nothing() -> None:
    model = _model("a = Tanh(x) y = " + BOTH.format(condition="yes"))
    model.graph.inputs.append(model.graph.initializers["yes"])
    assert _types(flatten(model)) == ["Tanh", "If"]


def test_branches_that_use_the_same_names_stay_separate() -> None:
    branch = """If(yes) <then_branch = first () => (float[] p) <float[1] w = {{ {number} }}>
        {{ t = Mul({x}, w) p = Exp(t) }},
        else_branch = second () => (float[] q) {{ q = Neg(x) }}>"""
    body = f"b = {branch.format(number=2, x='x')} y = {branch.format(number=3, x='b')}"
    model = flatten(_model(body))
    assert [value.name for node in model.graph for value in node.outputs] == [
        "n0/t", "n0/p", "b", "t", "p", "y"
    ]  # fmt: skip
    x = np.linspace(-2, -1, 20, dtype=np.float32).reshape(1, 4, 1, 5)
    np.testing.assert_allclose(_run(model, x), np.exp(3 * np.exp(2 * x)), rtol=1e-6)


def test_functions_are_inlined_with_the_branches_and_functions_in_them() -> None:
    functions = """
    <domain: "local", opset_import: ["" : 18, "local" : 1]> Outer (u) => (v)
    { c = Constant<value_int=0>() d = Cast<to=9>(c)
      v = If(d) <then_branch = first () => (p) { p = Relu(u) },
                 else_branch = second () => (q) { q = local.Inner(u) }> }
    <domain: "local", opset_import: ["" : 18]> Inner (u) => (v) { w = Exp(u) v = Neg(w) }
    """
    model = flatten(_model("a = local.Outer(x) y = local.Inner(a)", functions=functions))
    assert _types(model) == ["Constant", "Cast", "Exp", "Neg", "Identity", "Exp", "Neg"]


def test_shapes_are_known_behind_operators_that_onnx_does_not_infer() -> None:
    body = """a = Tanh(x) b = GroupNormalization<num_groups=2>(a, scale, scale)
    c = MeanVarianceNormalization(b) y = Flatten(c)"""
    model = flatten(_model(body, opset=21))
    assert _types(model) == ["Tanh", "GroupNormalization", "MeanVarianceNormalization", "Flatten"]
    shapes = [str(node.outputs[0].shape) for node in model.graph]
    assert shapes == ["[N,4,1,5]"] * 3 + ["[N,20]"]


def test_a_node_that_inference_stumbles_over_leaves_the_others_their_shapes() -> None:
    model = flatten(_model("a = Tanh(x) side = Squeeze(x, two) y = Exp(a)"))
    assert str(model.graph.outputs[0].shape) == "[N,4,1,5]"
