"""ONNX Runtime's WebGPU plug-in 0.4.0: a Conv with 6 channels in, and a multiple of 4 out, is silently wrong.

On a machine without a GPU: ORT_WEBGPU_EP_ALLOW_SOFTWARE_ADAPTER=1, and a Vulkan driver.
"""
import sys

import numpy as np, onnxruntime, onnxruntime_ep_webgpu as webgpu
from onnx import numpy_helper, parser

onnxruntime.register_execution_provider_library("webgpu", webgpu.get_library_path())
devices = [one for one in onnxruntime.get_ep_devices() if one.ep_name == webgpu.get_ep_name()]
if not devices:
    sys.exit("no device")
options, random = onnxruntime.SessionOptions(), np.random.default_rng(0)
options.log_severity_level = 4
options.add_provider_for_devices(devices[:1], {})
for given, made in ((6, 3), (6, 4), (6, 8), (10, 4), (8, 4)):
    model = parser.parse_model(f"""<ir_version: 8, opset_import: ["": 18]>
        g (float[1, {given}, 8, 8] x) => (float[1, {made}, 8, 8] y) {{ y = Conv <pads = [1, 1, 1, 1]> (x, w) }}""")
    weight = random.standard_normal((made, given, 3, 3)).astype(np.float32)
    model.graph.initializer.append(numpy_helper.from_array(weight, "w"))
    data, feeds = model.SerializeToString(), {"x": random.standard_normal((1, given, 8, 8)).astype(np.float32)}
    (expected,) = onnxruntime.InferenceSession(data, providers=["CPUExecutionProvider"]).run(None, feeds)
    (found,) = onnxruntime.InferenceSession(data, options).run(None, feeds)
    error = np.linalg.norm(found - expected) / np.linalg.norm(expected)
    print(f"{given} channels in, {made} out: relative error {error:.1e}")
