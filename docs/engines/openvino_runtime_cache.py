"""OpenVINO 2026.4.1, CPU: the Expand of a graph with open axes is garbage, beside two products and a transpose.

With CPU_RUNTIME_CACHE_CAPACITY=0, or with the axes fixed by reshape(), it is right.
"""
import numpy as np, onnx, openvino
from onnx import numpy_helper, parser

model = parser.parse_model("""<ir_version: 8, opset_import: ["": 18]>
g (float[A,B,C,D,E] a, float[F,G,1024,2,2] b, float[H,I,J,L,M,O,P] c) => (float[Q,R,S,T,U] x, float[V,W,X,Y,Z] y, float[i,j,k,l,m,n,o] z)
<int64[7] repeats = {1, 1, 1, 1, 2, 1, 2}, float scale = {0.25}> {
    ab = Mul (a, b)  x = Mul (ab, gain)  scaled = Mul (ab, scale)
    y = Transpose <perm = [1, 0, 2, 3, 4]> (scaled)  z = Expand (c, repeats) }""")
model.graph.initializer.append(numpy_helper.from_array(np.ones((1024, 1, 1), np.float32), "gain"))
random = np.random.default_rng(0)
shapes = {"a": (2, 2, 1024, 1, 1), "b": (1, 2, 1024, 2, 2), "c": (2, 2, 256, 4, 1, 4, 1)}
feeds = {name: random.random(shape, np.float32) for name, shape in shapes.items()}
expected = feeds["c"] * np.ones((1, 1, 1, 1, 2, 1, 2), np.float32)
for capacity in (5000, 0):
    read = openvino.Core().read_model(model.SerializeToString())
    settings = {"INFERENCE_PRECISION_HINT": "f32", "CPU_RUNTIME_CACHE_CAPACITY": capacity}
    found = openvino.compile_model(read, "CPU", settings)(feeds)["z"]
    print(f"capacity {capacity}: largest difference {np.abs(found - expected).max():.1e}")
