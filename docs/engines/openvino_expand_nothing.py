"""OpenVINO 2026.4.1, CPU: Expand before a product fails where an axis has extent 0: it takes the larger extent, 1.

Alone it is right, and so is a product with ones in its place.
"""
import numpy as np, openvino
from onnx import parser

for text in ("y = Expand (a, extents)", "e = Expand (a, extents)  y = Mul (e, two)", "e = Mul (a, ones)  y = Mul (e, two)"):
    model = parser.parse_model(f"""<ir_version: 8, opset_import: ["": 18]> g (float[N, K, 2, 1] x) => (float[N, K, 2, 3] y)
        <int64[4] extents = {{1, 1, 1, 3}}, float[1, 1, 1, 3] ones = {{1, 1, 1}}, float two = {{2}}> {{ a = Relu (x)  {text} }}""")
    run = openvino.compile_model(openvino.Core().read_model(model.SerializeToString()), "CPU")
    try:
        print(f"{text}: {run({'x': np.zeros((2, 0, 2, 1), np.float32)})[0].shape}")
    except RuntimeError as error:
        print(f"{text}: {' '.join(str(error).split())[-120:]}")
