"""These constants are the type of the added tensors and the scale of float16 cotangents."""

from __future__ import annotations

import onnx_ir as ir

# float16 represents 6e-8 to 65504, with full precision from 6e-5 on, and class scores have
# gradients of 1e-3 to 1e-8. Therefore float16 cotangents are scaled by 2^10 (a power of two does
# not round) and divided at the end, in float32: full precision from 6e-8 on, reduced precision down
# to 6e-11, and a range of up to 64. Larger gradients get a smaller scale (`artifact.half_range`).
FLOAT16_SCALE = 2.0**10

SINGLE = ir.DataType.FLOAT  # the type of all added tensors, whatever the model's type
