"""Behind a junction only scores that reach a branch are followed; gradients stay the same."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest

from graftcam.exporter.differentiate.backward import differentiate, total_of
from graftcam.exporter.differentiate.cotangent import Cotangent
from graftcam.exporter.differentiate.plan import plan, with_junctions
from graftcam.exporter.graph.emitter import Emitter
from support.onnx_text import parsed

RNG = np.random.default_rng(0)
CONSTANTS = {
    "fine": RNG.standard_normal((2, 3, 3, 3)).astype(np.float32),
    "coarse": RNG.standard_normal((2, 3, 1, 1)).astype(np.float32),
    "rows": np.array([0, 2, -1]),
    "flat": np.array([0, -1]),
}
# Two levels, the coarse one behind the fine one; a table of 2 entries for 64 + 16 boxes.
BODY = """
    u = Relu(x)
    p = Conv<pads = [1, 1, 1, 1]>(u, fine)
    d = MaxPool<kernel_shape = [2, 2], strides = [2, 2]>(u)
    v = Tanh(d)
    q = Conv(v, coarse)
    a = Reshape(p, rows)
    b = Reshape(q, rows)
    c = Concat<axis = -1>(a, b)
    y = Reshape(c, flat)
"""
SIDES = {"fixed": "N, 3, 8, 8", "open": "N, 3, H, W"}


def gradients(sides: str, *, junctions: bool) -> onnx.ModelProto:
    """A model that gives the gradients of entries ``index`` [K, N] for both levels."""
    text = f"""<ir_version: 9, opset_import: ["" : 18]>
    g (float[{sides}] x, int64[K, N] index) => (float[N, M] y) {{ {BODY} }}"""
    proto = onnx.shape_inference.infer_shapes(parsed(text, CONSTANTS), data_prop=True)
    model = ir.from_proto(proto)
    graph = model.graph
    values = {value.name: value for node in graph for value in node.outputs}
    made = plan(graph, values["y"], [values["u"], values["v"]])
    made = with_junctions(made) if junctions else made
    assert [node.op_type for node in made.junctions] == ["Concat"] * junctions
    emit = Emitter(graph)
    emit.classes_dim = emit.vector([(graph.inputs[1], 0)])
    seed = Cotangent(emit, values["y"], None, one_hot=graph.inputs[1])
    for value, found in differentiate(emit, made, seed).items():
        named = emit.op("Identity", found.dense())
        named.name, named.type = f"grad_{value.name}", value.type
        graph.outputs.append(named)
    emit.sweep()
    return ir.to_proto(model)


def run(model: onnx.ModelProto, index: Any) -> dict[str, Any]:
    options = ort.SessionOptions()
    options.log_severity_level = 3
    session = ort.InferenceSession(model.SerializeToString(), options)
    x = np.random.default_rng(1).standard_normal((index.shape[1], 3, 8, 8)).astype(np.float32)
    names = [one.name for one in session.get_outputs()]
    return dict(zip(names, session.run(None, {"x": x, "index": index}), strict=True))


INDICES = {
    "fine": [[3]],
    "coarse": [[70]],
    "both, and one twice": [[3], [70], [3], [159], [81]],
    "one score, two levels": [[3, 70], [150, 5], [9, 11]],
}


@pytest.mark.parametrize("sides", SIDES)
@pytest.mark.parametrize("name", INDICES)
def test_the_gradients_are_those_of_all_scores(sides: str, name: str) -> None:
    index = np.array(INDICES[name], np.int64)
    whole = run(gradients(SIDES[sides], junctions=False), index)
    found = run(gradients(SIDES[sides], junctions=True), index)
    assert np.abs(whole["grad_u"]).sum((1, 2, 3, 4)).all()
    for level in ("grad_u", "grad_v"):
        np.testing.assert_allclose(found[level], whole[level], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sides", SIDES)
def test_no_score_at_all(sides: str) -> None:
    found = run(gradients(SIDES[sides], junctions=True), np.zeros((0, 2), np.int64))
    assert found["grad_u"].shape == (0, 2, 3, 8, 8)
    assert found["grad_v"].shape == (0, 2, 3, 4, 4)


def test_a_branch_that_no_score_reaches_computes_nothing() -> None:
    model = gradients(SIDES["fixed"], junctions=True)
    gathered = [node.output[0] for node in model.graph.node if "reached" in node.name]
    assert len(gathered) == 2
    model.graph.output.extend(
        onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, None) for name in gathered
    )
    found = run(model, np.array([[3], [5]], np.int64))
    assert sorted(len(found[name]) for name in gathered) == [0, 2]


@pytest.mark.parametrize(("mixes", "found"), [("MatMul(c, t)", 0), ("Mul(c, c)", 1)])
def test_what_attention_mixes_afterwards_is_no_junction(mixes: str, found: int) -> None:
    """Behind the attention of a decoder every score reaches every part, layer after layer."""
    text = f"""<ir_version: 9, opset_import: ["" : 18]>
    g (float[1, 3, 4, 4] x, float[1, 3, 2, 4] w) => (float[N, M] y) {{
        u = Relu(x)
        v = Tanh(u)
        s = Slice(v, zero, two, axis)
        c = Concat<axis = 2>(s, v)
        t = Transpose<perm = [0, 1, 3, 2]>(c)
        z = {mixes}
        y = Reshape(z, flat)
    }}"""
    numbers = {"zero": np.array([0]), "two": np.array([2]), "axis": np.array([2])}
    constants = {**numbers, "flat": np.array([0, -1])}
    proto = onnx.shape_inference.infer_shapes(parsed(text, constants), data_prop=True)
    graph = ir.from_proto(proto).graph
    values = {value.name: value for node in graph for value in node.outputs}
    made = with_junctions(plan(graph, values["y"], [values["u"]]))
    assert len(made.junctions) == found


def test_lists_that_share_scores_are_not_joined_again() -> None:
    """Each join of a list with itself would double the scores that are followed."""
    graph = ir.from_proto(gradients(SIDES["fixed"], junctions=False)).graph
    value = next(value for node in graph for value in node.outputs if value.name == "u")
    emit = Emitter(graph)
    emit.classes_dim = emit.vector([(graph.inputs[1], 0)])
    whole, joined = Cotangent(emit, value, value), {}
    one, two = whole.only_rows(), (whole * 2.0).only_rows()
    both = total_of([one, two, one], joined)
    assert both is not None
    assert joined == {both.rows: frozenset({one.rows, two.rows})}
    again = total_of([both, one], joined)
    assert again is not None
    assert again.rows is None
