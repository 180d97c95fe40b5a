"""onnx 1.23.2, onnx.reference: GatherElements fails where the data have 64 entries or more along the axis."""
import numpy as np, onnxruntime
from onnx import parser
from onnx.reference import ReferenceEvaluator

model = parser.parse_model("""<ir_version: 8, opset_import: ["": 18]> g (float[2, C] x, int64[2, 2] at) => (float[2, 2] y)
    { y = GatherElements <axis = 1> (x, at) }""")
at = np.array([[0, 1], [2, 0]])
for width in (63, 64):
    feeds = {"x": np.arange(2 * width, dtype=np.float32).reshape(2, width), "at": at}
    (expected,) = onnxruntime.InferenceSession(model.SerializeToString()).run(None, feeds)
    try:
        print(f"{width}: {'equal' if (ReferenceEvaluator(model).run(None, feeds)[0] == expected).all() else 'other'}")
    except ValueError as error:
        print(f"{width}: {error}")
