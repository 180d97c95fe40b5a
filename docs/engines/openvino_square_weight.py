"""OpenVINO 2026.4.1, CPU: a square weight that a Conv with a stride and a ConvTranspose share is used in one direction only.

So is one that a MatMul reads plain and a Gemm transposed. A copy of the weight that is computed at load (negated
twice) cures it: the constants are then two.
"""
import numpy as np, onnx, onnxruntime, openvino
from onnx import numpy_helper, parser

random = np.random.default_rng(0)
for cure in ("", "n = Neg (w)  v = Neg (n)"):
    second = "v" if cure else "w"
    for text, shape, form in (
        (f"y = Conv <strides = [2, 2]> (x, w)  z = ConvTranspose <strides = [2, 2]> (y, {second})", (4, 4, 2, 2), (1, 4, 8, 8)),
        (f"y = MatMul (x, w)  z = Gemm <transB = 1> (y, {second})", (8, 8), (3, 8)),
    ):
        dims = ",".join(map(str, form))
        model = parser.parse_model(f"<ir_version: 8, opset_import: [\"\": 18]> g (float[{dims}] x) => (float[{dims}] z) {{ {cure} {text} }}")
        model.graph.initializer.append(numpy_helper.from_array(random.standard_normal(shape).astype(np.float32), "w"))
        data, x = model.SerializeToString(), random.standard_normal(form).astype(np.float32)
        (expected,) = onnxruntime.InferenceSession(data).run(None, {"x": x})
        found = openvino.compile_model(openvino.Core().read_model(data), "CPU", {"INFERENCE_PRECISION_HINT": "f32"})({"x": x})[0]
        error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
        print(f"{text.split()[2]}, {'copied' if cure else 'shared'}: relative error {error:.1e}")
