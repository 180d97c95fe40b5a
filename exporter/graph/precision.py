"""Types of what the artifact adds, and the scale of float16 cotangents."""

from __future__ import annotations

import onnx_ir as ir

# float16 holds 6e-8 to 65504, at full precision from 6e-5 on, and class scores have gradients of
# 1e-3 to 1e-8. So float16 cotangents are kept 2^10 times as large (a power of two rounds nothing)
# and divided at the end, in float32: full precision from 6e-8 on, something left down to 6e-11,
# and room for cotangents up to 64.
FLOAT16_SCALE = 2.0**10


SINGLE = ir.DataType.FLOAT  # the type of all that the artifact adds, whatever the model's is
