"""The range of the numbers that can reach a quantiser decides which of its ends cut off."""

from __future__ import annotations

import onnx.parser
import onnx_ir as ir
import pytest

from graftcam.exporter.graph.inline import infer_shapes
from graftcam.exporter.graph.value_range import cutting_ends

BEHIND = {  # uint8 codes of 0 to 2.55
    "y = Identity(x)": (True, True),
    "y = Relu(x)": (False, True),
    "y = Sigmoid(x)": (False, False),
    "r = Relu(x) y = GlobalAveragePool(r)": (False, True),
    "r = Relu(x) y = AveragePool<kernel_shape = [2, 2]>(r)": (False, True),
    "y = Clip(x, zero, six)": (False, True),
    "y = Clip(x, zero, one)": (False, False),
    "r = Sigmoid(x) t = Tanh(x) y = Add(r, t)": (True, False),
    "r = Sigmoid(x) y = Mul(r, r)": (False, False),
    "r = Sigmoid(x) t = Tanh(x) y = Mul(r, t)": (True, False),
    "r = Relu(x) y = Mul(r, x)": (True, True),
    "r = Sigmoid(x) y = Concat<axis = 1>(r, x)": (True, True),
    "r = Sigmoid(x) y = Concat<axis = 1>(r, r)": (False, False),
    "c = QuantizeLinear(x, s, z) y = DequantizeLinear(c, s, z)": (False, False),
    "c = QuantizeLinear(x, s, m) y = DequantizeLinear(c, s, m)": (True, False),
}


@pytest.mark.parametrize("body", BEHIND)
def test_an_end_cuts_off_what_can_lie_beyond_it(body: str) -> None:
    text = f"""<ir_version: 9, opset_import: ["" : 18]>
        main (float[1, 3, 4, 4] x) => (uint8[1, 3, 4, 4] q)
        <float s = {{0.01}}, uint8 z = {{0}}, uint8 m = {{100}}, float zero = {{0}},
         float one = {{1}}, float six = {{6}}> {{ {body} q = QuantizeLinear(y, s, z) }}"""
    graph = infer_shapes(ir.from_proto(onnx.parser.parse_model(text))).graph
    assert cutting_ends(graph[len(graph) - 1]) == BEHIND[body]
