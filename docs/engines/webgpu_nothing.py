"""ONNX Runtime's WebGPU plug-in 0.4.0: kernels fail on tensors without elements; the CPU returns an empty one.

On a machine without a GPU: ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1, and a Vulkan driver.
"""
import sys

import numpy as np, onnxruntime, onnxruntime_ep_webgpu as webgpu
from onnx import numpy_helper, parser

model = parser.parse_model("""<ir_version: 8, opset_import: ["": 18]> g (float[N, 4, 8, 8] x) => (float[N, 4, 8, 8] y) { y = Conv (x, w) }""")
model.graph.initializer.append(numpy_helper.from_array(np.ones((4, 4, 1, 1), np.float32), "w"))
onnxruntime.register_execution_provider_library("webgpu", webgpu.get_library_path())
devices = [one for one in onnxruntime.get_ep_devices() if one.ep_name == webgpu.get_ep_name()]
if not devices:
    sys.exit("no device")
options = onnxruntime.SessionOptions()
options.log_severity_level = 4
options.add_provider_for_devices(devices[:1], {})
session = onnxruntime.InferenceSession(model.SerializeToString(), options)
for count in (1, 0):
    try:
        print(f"{count} images: {session.run(None, {'x': np.zeros((count, 4, 8, 8), np.float32)})[0].shape}")
    except Exception as error:
        print(f"{count} images: {str(error)[-70:]}")
