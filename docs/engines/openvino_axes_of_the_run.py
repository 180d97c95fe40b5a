"""OpenVINO 2026.4.1 cannot read a ReduceSum whose number of axes is known at the run only, which ONNX allows."""
import openvino
from onnx import parser

model = parser.parse_model("""<ir_version: 8, opset_import: ["": 18]> g (float[N, C] x, bool[2] which) => (float[A, B] y)
    <int64[2] axes = {0, 1}> { over = Compress (axes, which)  y = ReduceSum <noop_with_empty_axes = 1> (x, over) }""")
try:
    openvino.Core().read_model(model.SerializeToString())
    print("read")
except Exception as error:
    print("refused:", next(line for line in str(error).splitlines() if "axes" in line))
