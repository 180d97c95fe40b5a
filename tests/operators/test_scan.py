"""Scans that the emitter builds, and those of a model that are written out."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import pytest

from graftcam.exporter.graph.emitter import Emitter, Values
from graftcam.exporter.graph.inline import flatten
from support.onnx_text import parsed
from support.operators.harness import Case, Model, run_ort, seeds, session, with_adjoints

BACKWARDS = {False: [[1, 2], [4, 6], [9, 12]], True: [[9, 12], [8, 10], [5, 6]]}


@pytest.mark.parametrize("backwards", [False, True])
def test_a_scan_carries_states_and_stacks_results(backwards: bool) -> None:
    model = ir.from_proto(Model(Case("", "y = Neg(x)", {"x": (3, 2)}), np.float32, 1).proto)
    graph = model.graph
    emit = Emitter(graph)
    (x,) = graph.inputs
    twice = emit.op("Add", x, x)
    start = emit.constant(np.zeros(2), ir.DataType.FLOAT)

    def step(states: Values, slices: Values) -> tuple[Values, Values]:
        total = emit.op("Add", states[0], slices[0])
        # A state handed on, one value given twice, and one from outside.
        return [total, states[1]], [total, twice]

    last, results = emit.scan([start, start], [x], step, backwards=backwards)
    assert emit.op("Add", x, x) is twice, "what was made before is still shared"
    graph.outputs.clear()
    graph.outputs.extend([*last, *results])
    total, constant, totals, twices = run_ort(
        session(ir.to_proto(model)), {"x": np.array([[1, 2], [3, 4], [5, 6]])}
    ).values()
    np.testing.assert_array_equal(total, [9, 12])
    np.testing.assert_array_equal(constant, [0, 0])
    np.testing.assert_array_equal(totals, BACKWARDS[backwards])
    np.testing.assert_array_equal(twices, [[[2, 4], [6, 8], [10, 12]]] * 3)


SCANS = {
    "a sum that is handed on": (
        "l, p = Scan<num_scan_inputs=1, body=step (float[2, 3] h, float[2, 3] r) => "
        "(float[2, 3] k, float[2, 3] o) { k = Add(h, r) o = Tanh(k) }>(z, t) y = Mul(l, p)"),
    "along another axis, from its end": (
        "l, p = Scan<num_scan_inputs=1, scan_input_axes=[1], scan_input_directions=[1], "
        "scan_output_axes=[-1], scan_output_directions=[1], "
        "body=step (float[4, 3] h, float[4, 3] r) => (float[4, 3] k, float[4, 3] o) "
        "{ d = Mul(h, half) k = Add(d, r) o = Exp(k) }>(c, t) y = Add(p, last)"),
    "of two tensors, without a state": (
        "y = Scan<num_scan_inputs=2, body=step (float[2, 3] a, float[2, 3] b) => (float[2, 3] o) "
        "{ o = Mul(a, b) }>(t, u)"),
}  # fmt: skip


def _scanned(body: str, first: object = 4) -> onnx.ModelProto:
    text = f"""<ir_version: 9, opset_import: ["" : 18]>
    g (float[{first}, 2, 3] x) => (float[] y) {{ t = Sin(x) u = Cos(x) {body} }}"""
    constants = {
        "z": np.ones((2, 3), np.float32), "c": np.ones((4, 3), np.float32),
        "half": np.float32(0.5), "last": np.ones((4, 3, 2), np.float32),
        "three": np.array(3), "many": np.array(2**62), "yes": np.array(True),
        "no": np.array(False),
    }  # fmt: skip
    return parsed(text, constants)


@pytest.mark.parametrize("body", SCANS.values(), ids=SCANS)
def test_a_short_scan_is_written_out_and_nothing_changes(body: str) -> None:
    proto = _scanned(body)
    x = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)
    model = flatten(ir.from_proto(proto))
    assert "Scan" not in {node.op_type for node in model.graph}
    assert [value.name for value in model.graph.outputs] == ["y"]
    before, after = (run_ort(session(one), {"x": x})["y"] for one in (proto, ir.to_proto(model)))
    np.testing.assert_allclose(after, before, rtol=1e-6)


LOOPS = {
    "states, results and the number of the step": (
        "l, p = Loop(three, yes, z) <body = step (int64 i, bool go, float[2, 3] h) => "
        "(bool on, float[2, 3] k, float[2, 3] o) { on = Identity(go) n = Cast<to=1>(i) "
        "r = Gather(t, i) k = Add(h, r) o = Mul(k, n) }> y = Add(p, l)"),
    "a condition that is always true, an argument of the body handed on": (
        "l, p = Loop(three, , z) <body = step (int64 i, bool go, float[2, 3] h) => "
        "(bool on, float[2, 3] h, float[2, 3] o) { on = Not(no) r = Gather(t, i) "
        "o = Mul(h, r) }> y = Add(p, l)"),
}  # fmt: skip


def _of_type(proto: onnx.ModelProto, op_type: str) -> int:
    model = flatten(ir.from_proto(proto))
    return sum(node.op_type == op_type for node in model.graph)


@pytest.mark.parametrize("body", LOOPS.values(), ids=LOOPS)
def test_a_loop_of_known_length_is_written_out_and_nothing_changes(body: str) -> None:
    proto = _scanned(body)
    x = np.random.default_rng(0).standard_normal((4, 2, 3)).astype(np.float32)
    model = flatten(ir.from_proto(proto))
    assert {"Loop", "Identity"} & {node.op_type for node in model.graph} <= {"Identity"}
    before, after = (run_ort(session(one), {"x": x})["y"] for one in (proto, ir.to_proto(model)))
    np.testing.assert_allclose(after, before, rtol=1e-6)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("three", "many"),
        ("three", "from_data"),
        ("Identity(go)", "Less(i, three)"),
        ("yes", "from_data_too"),
    ],
    ids=["too long", "as many steps as the data says", "until a condition", "perhaps none"],
)
def test_a_loop_whose_steps_depend_on_the_data_or_are_too_many_stays(old: str, new: str) -> None:
    body = "m = ReduceMax<keepdims=0>(x) from_data = Cast<to=7>(m) from_data_too = Cast<to=9>(m) "
    body += LOOPS["states, results and the number of the step"].replace(old, new)
    assert _of_type(_scanned(body), "Loop") == 1


def test_a_scan_of_unknown_or_great_length_stays() -> None:
    body = SCANS["a sum that is handed on"]
    for first in ("N", 5000):
        model = flatten(ir.from_proto(_scanned(body, first)))
        assert "Scan" in {node.op_type for node in model.graph}


def test_a_written_out_scan_is_differentiated() -> None:
    body = (
        "l, p = Scan<num_scan_inputs=1, scan_input_directions=[1], "
        "body=step (float[2] h, float[2] r) => "
        "(float[2] k, float[2] o) { d = Mul(h, r) k = Sin(d) o = Add(k, r) }>(z, x) "
        "q = Mul(p, p) m = Mul(l, l) y = Add(q, m)"
    )
    case = Case("", body, {"x": (3, 2)}, constants={"z": np.array([0.7, 1.2])})
    written = flatten(ir.from_proto(Model(case, np.float32, 1).proto))
    made = with_adjoints(ir.to_proto(written))
    seed, feeds = seeds(2, (3, 2)), case.feeds(1)
    got = run_ort(session(made.proto), {**feeds, "seed": seed})["grad_x"]
    right = np.zeros_like(got, np.float64)
    runner = session(Model(case, np.float32, 1).proto)
    for place in np.ndindex(3, 2):
        ends = list[np.ndarray]()
        for sign in (1, -1):
            moved = feeds["x"].copy()
            moved[place] += sign * 1e-2
            ends.append(run_ort(runner, {"x": moved})["y"].astype(np.float64))
        right[(..., *place)] = (seed * ((ends[0] - ends[1]) / 2e-2)).sum((1, 2))
    np.testing.assert_allclose(got, right, rtol=1e-3, atol=1e-3)
