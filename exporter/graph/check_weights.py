"""`check_weights` refuses weights that make every score meaningless."""

from __future__ import annotations

import numpy as np
import onnx_ir as ir

from ..errors import CaptureError


def check_weights(graph: ir.Graph) -> None:
    """Check that no weight is NaN; an infinity may be meant, as in the mask of an attention.

    A single number may be NaN on purpose, too.

    Raises:
        CaptureError: Weights are; the message names the tensor.
    """
    for name, value in graph.initializers.items():
        tensor = value.const_value
        if tensor is None or tensor.size < 2 or not tensor.dtype.is_floating_point():
            continue
        array = tensor.numpy()
        with np.errstate(invalid="ignore"):
            wide = array if array.itemsize >= 4 else array.astype(np.float32)
            if not np.isnan(np.min(wide)):
                continue
        raise CaptureError(
            f"the weights {name!r} hold {int(np.isnan(wide).sum())} NaN among {wide.size} numbers, "
            "and so does every score; give weights of a training that did not diverge"
        )
