"""Scans that the emitter builds."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir
import pytest

from graftcam.exporter.graph.emitter import Emitter, Values
from support.operators.harness import Case, Model, run_ort, session

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
